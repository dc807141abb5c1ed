import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Engine } from '../../src/index.js';
import { unappliedGeneration } from '../../src/model/config/generation-file.js';

let model: string;
beforeEach(async () => {
  model = await mkdtemp(join(tmpdir(), 'hint-generation-'));
});
afterEach(() => rm(model, { recursive: true, force: true }));

const write = (name: string, json: object): Promise<void> =>
  writeFile(join(model, name), JSON.stringify(json));

describe('settings of generation in the files of a model', () => {
  it.each([
    [{ no_repeat_ngram_size: 3 }, 'no_repeat_ngram_size 3'],
    [{ repetition_penalty: 1.2 }, 'repetition_penalty 1.2'],
    [{ length_penalty: 2, min_length: 30 }, 'min_length 30, length_penalty 2'],
    [{ forced_bos_token_id: 0 }, 'forced_bos_token_id 0'],
    [{ suppress_tokens: [5, 6] }, 'suppress_tokens [5, 6]'],
    [{ early_stopping: 'never' }, 'early_stopping "never"'],
    [{ bad_words_ids: [[1]] }, 'bad_words_ids [[1]]'],
  ])('%j, which the engine does not have, is named with its value', async (fields, named) => {
    await write('generation_config.json', fields);
    const [sentence, ...more] = await unappliedGeneration(model);
    expect(sentence).toBe(
      `generation_config.json asks for ${named}, which this engine does not have; answers may differ from those of transformers.`,
    );
    expect(more).toEqual([]);
  });

  it('that the engine has are named with the options that ask for them', async () => {
    await write('generation_config.json', { do_sample: true, temperature: 0.7, top_k: 40, top_p: 0.9, num_beams: 4, max_length: 200, max_new_tokens: 64 }); // prettier-ignore
    expect(await unappliedGeneration(model)).toEqual([
      'generation_config.json asks for max_length 200, max_new_tokens 64, do_sample true, temperature 0.7, top_k 40, top_p 0.9, num_beams 4, which is not done unless a call asks for it: give maxTokens, decode, temperature, topK, topP, numBeams.',
    ]);
  });

  it('are those of config.json where there is no generation_config.json, as in transformers', async () => {
    await write('config.json', { no_repeat_ngram_size: 3, task_specific_params: { summarization: { num_beams: 4 } } }); // prettier-ignore
    expect((await unappliedGeneration(model)).join()).toMatch(
      /^config.json asks for no_repeat_ngram_size 3,/,
    );
    await write('generation_config.json', { eos_token_id: 1 });
    expect(await unappliedGeneration(model)).toEqual([]);
  });

  it('are not told where they are what transformers does anyway', async () => {
    // GenerationConfig() of transformers 5.18 and 4.30, with what generation from a T5 adds.
    await write('generation_config.json', { _from_model_config: true, bos_token_id: null, decoder_start_token_id: 0, eos_token_id: 1, pad_token_id: 0, transformers_version: '5.18.0', max_length: 20, min_length: 0, do_sample: false, use_cache: true, early_stopping: false, num_beams: 1, temperature: 1.0, top_k: 50, top_p: 1.0, typical_p: 1.0, repetition_penalty: 1.0, length_penalty: 1.0, no_repeat_ngram_size: 0, encoder_no_repeat_ngram_size: 0, bad_words_ids: null, num_return_sequences: 1, output_scores: false, return_dict_in_generate: false, forced_bos_token_id: null, forced_eos_token_id: null, remove_invalid_values: false, exponential_decay_length_penalty: null, suppress_tokens: null, begin_suppress_tokens: [], epsilon_cutoff: 0.0, eta_cutoff: 0.0, encoder_repetition_penalty: 1.0, num_assistant_tokens: 20, num_beam_groups: 1, diversity_penalty: 0.0, max_new_tokens: null, min_new_tokens: null, penalty_alpha: null, guidance_scale: null, sequence_bias: null, renormalize_logits: false }); // prettier-ignore
    expect(await unappliedGeneration(model)).toEqual([]);
  });

  it('that name a token by something else than an id are refused, and not passed over', async () => {
    await cp(join(import.meta.dirname, '../fixtures/families/t5-v1.0'), model, { recursive: true });
    for (const [field, value] of [
      ['eos_token_id', '1'],
      ['decoder_start_token_id', 0.5],
    ] as const) {
      // prettier-ignore
      await write('generation_config.json', { [field]: value });
      await expect(Engine.open(model)).rejects.toThrow(
        `generation_config.json has the ${field} ${JSON.stringify(value)}, which is no token id`,
      );
    }
  });

  it('stand in an engine that was opened, which answers as if they were not there', async () => {
    const fixture = join(import.meta.dirname, '../fixtures/families/t5-v1.0');
    await cp(fixture, model, { recursive: true });
    const { runs } = JSON.parse(await readFile(join(fixture, 'expected.json'), 'utf8')) as {
      runs: { ids: number[]; greedy: number[] }[];
    };
    const answer = async (): Promise<[readonly string[], number[]]> => {
      await using engine = await Engine.open(model);
      using task = await engine.plain();
      const [first] = await task.generate([Int32Array.from(runs[0]?.ids ?? [])], { maxTokens: 6 });
      return [engine.notices, [...(first?.tokens ?? [])]];
    };
    const [silent, tokens] = await answer();
    expect(silent).toEqual([]);
    await write('generation_config.json', { repetition_penalty: 5 });
    expect(await answer()).toEqual([[expect.stringContaining('repetition_penalty 5')], tokens]);
  });
});
