import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenizedExample } from '../../src/data/batch.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { evaluateModel } from '../../src/evaluation/evaluate.js';
import { inferenceFlops } from '../../src/accounting/flops.js';
import { scoreFile } from '../../src/evaluation/score.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, randomModel, removeAll, tinyConfig, TOKENIZER } from '../inference/models.js';

let device: Device;
let tokenizer: Tokenizer;
let folder: string;
let hint: EncoderDecoderModel;
let plain: EncoderDecoderModel;

beforeAll(async () => {
  device = new Device({ threads: 2 });
  tokenizer = await Tokenizer.load(TOKENIZER);
  folder = await mkdtemp(join(tmpdir(), 'hint-evaluate-'));
  hint = randomModel(device, tinyConfig(FULL_HINT));
  plain = randomModel(device, tinyConfig(null));
});

afterAll(async () => {
  device.close();
  await removeAll([folder]);
});

/** Three tasks of four inputs, mixed. */
function examples(withInstruction: boolean): TokenizedExample[] {
  return Array.from({ length: 12 }, (_, i) => ({
    id: `task${i % 3}-${i}`,
    task: `task${i % 3}`,
    // Equal by content, not by identity: a dataset read from a cache looks like this.
    instruction: withInstruction ? tokenizer.encode(`Do thing number ${i % 3}.`) : new Int32Array(),
    input: tokenizer.encode(`Input ${i * 7}`),
    target: tokenizer.encode('x'),
    references: ['no such answer'],
  }));
}

describe('evaluateModel', () => {
  it('compiles each distinct instruction once and keeps answers with their questions', async () => {
    const before = hint.hypernetwork?.encodedTasks ?? 0;
    const all = examples(true);
    const evaluation = await evaluateModel({ model: hint, tokenizer }, all, { maxTokens: 6, batchSize: 5 });
    expect((hint.hypernetwork?.encodedTasks ?? 0) - before).toBe(3);
    expect(evaluation.tasksCompiled).toBe(3);
    expect(evaluation.predictions.map(({ id }) => id)).toEqual(all.map(({ id }) => id));
    for (const [i, example] of all.entries()) {
      const alone = await evaluateModel({ model: hint, tokenizer }, [example], { maxTokens: 6 });
      expect(alone.predictions[0]).toEqual(evaluation.predictions[i]);
    }
  });

  it('scores right answers 100, overall and per task', async () => {
    const first = await evaluateModel({ model: hint, tokenizer }, examples(true), { maxTokens: 6 });
    const answers = examples(true).map((example, i) => ({
      ...example,
      references: [first.predictions[i]?.prediction as string],
    }));
    // Outputs of random weights may hold no word at all, which matches exactly but has no ROUGE-L.
    const { scores } = await evaluateModel({ model: hint, tokenizer }, answers, { maxTokens: 6 });
    expect(scores).toMatchObject({ exactMatch: 100, count: 12 });
    expect(Object.keys(scores.perTask)).toEqual(['task0', 'task1', 'task2']);
    expect(first.scores.exactMatch).toBe(0);
  });

  it('runs systems whose instruction is in the input, or nowhere', async () => {
    const evaluation = await evaluateModel({ model: plain, tokenizer }, examples(false), { maxTokens: 6 });
    expect(evaluation).toMatchObject({ tasksCompiled: 0, scores: { count: 12 } });
    expect(evaluation.predictions).toHaveLength(12);
  });

  it('counts the work as the cost model does', async () => {
    const one = examples(true).slice(0, 1);
    const evaluation = await evaluateModel({ model: hint, tokenizer }, one, { maxTokens: 6 });
    const cost = inferenceFlops(hint.config, {
      instruction: one[0]?.instruction.length as number,
      input: one[0]?.input.length as number,
      output: evaluation.outputTokens,
      examples: 1,
      instructionInInput: false,
    });
    expect(evaluation.flopsPer100).toBe(100 * cost.flops);
  });

  it('writes predictions that score the same when read back', async () => {
    const predictionsFile = join(folder, 'new', 'predictions.jsonl');
    const evaluation = await evaluateModel({ model: hint, tokenizer }, examples(true), {
      maxTokens: 6,
      predictionsFile,
    });
    expect(await scoreFile(predictionsFile)).toEqual({ ...evaluation.scores, missing: 0 });
    expect((await readFile(predictionsFile, 'utf8')).trimEnd().split('\n')).toHaveLength(12);
  });

  it('reports progress up to the last example', async () => {
    const seen: number[] = [];
    await evaluateModel({ model: hint, tokenizer }, examples(true), {
      maxTokens: 3,
      batchSize: 5,
      onProgress: (done, total) => seen.push(done / total),
    });
    expect(seen).toEqual(Array.from({ length: 12 }, (_, i) => (i + 1) / 12));
  });

  it('an abort, no examples or half of the instructions missing is a clear error and writes nothing', async () => {
    const predictionsFile = join(folder, 'never.jsonl');
    const run = (list: TokenizedExample[], signal?: AbortSignal): Promise<unknown> =>
      evaluateModel({ model: hint, tokenizer }, list, { predictionsFile, signal, maxTokens: 3 });
    await expect(run(examples(true), AbortSignal.abort())).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(run([])).rejects.toThrow(/0 examples/);
    await expect(run([...examples(true), ...examples(false)])).rejects.toThrow(/12 of 24 examples/);
    await expect(readFile(predictionsFile)).rejects.toThrow(/ENOENT/);
  });
});
