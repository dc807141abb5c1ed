import { showValue } from '../../util/show-value.js';
import { readBeside, type Fields } from './beside.js';

/** Says how a model generates, in transformers; config.json does where it is not there. */
export const GENERATION_FILE = 'generation_config.json';

/** A field that changes what transformers generates: its value where it changes nothing, and our option for the same. */
interface Setting {
  readonly neutral?: unknown;
  readonly option?: string;
}

// null and an empty list are neutral everywhere. The neutral values are the defaults of transformers 5.
const SETTINGS: Readonly<Record<string, Setting>> = {
  max_length: { neutral: 20, option: 'maxTokens' },
  max_new_tokens: { option: 'maxTokens' },
  min_length: { neutral: 0 },
  min_new_tokens: { neutral: 0 },
  max_time: {},
  stop_strings: { option: 'stop' },
  do_sample: { neutral: false, option: 'decode' },
  temperature: { neutral: 1, option: 'temperature' },
  top_k: { neutral: 50, option: 'topK' },
  top_p: { neutral: 1, option: 'topP' },
  min_p: {},
  top_h: {},
  typical_p: { neutral: 1 },
  epsilon_cutoff: { neutral: 0 },
  eta_cutoff: { neutral: 0 },
  num_beams: { neutral: 1, option: 'numBeams' },
  num_beam_groups: { neutral: 1 },
  num_return_sequences: { neutral: 1 },
  early_stopping: { neutral: false },
  length_penalty: { neutral: 1 },
  diversity_penalty: { neutral: 0 },
  repetition_penalty: { neutral: 1 },
  encoder_repetition_penalty: { neutral: 1 },
  exponential_decay_length_penalty: {},
  no_repeat_ngram_size: { neutral: 0 },
  encoder_no_repeat_ngram_size: { neutral: 0 },
  bad_words_ids: {},
  force_words_ids: {},
  constraints: {},
  forced_bos_token_id: {},
  forced_eos_token_id: {},
  forced_decoder_ids: {},
  suppress_tokens: {},
  begin_suppress_tokens: {},
  sequence_bias: {},
  renormalize_logits: { neutral: false },
  remove_invalid_values: { neutral: false },
  token_healing: { neutral: false },
  guidance_scale: { neutral: 1 },
  watermarking_config: {},
  penalty_alpha: { neutral: 0 },
  dola_layers: {},
};

/**
 * What a model directory asks of generation that is not done unless a caller asks for it, if at all, as sentences that name every
 * field with its value: answers then differ from those of transformers. Defaults of transformers are not told.
 *
 * @throws HintError IO, INVALID_JSON
 */
export async function unappliedGeneration(directory: string): Promise<string[]> {
  const generation = await readBeside(directory, GENERATION_FILE);
  const fields = generation ?? (await readBeside(directory, 'config.json')) ?? {};
  const file = generation ? GENERATION_FILE : 'config.json';
  const asked = Object.keys(SETTINGS).filter((field) => changes(field, fields));
  const optional = asked.filter((field) => SETTINGS[field]?.option !== undefined);
  const unknown = asked.filter((field) => SETTINGS[field]?.option === undefined);
  const sentences: string[] = [];
  if (unknown.length > 0)
    sentences.push(
      `${file} asks for ${listed(unknown, fields)}, which this engine does not have; answers may differ from those of transformers.`,
    );
  if (optional.length > 0)
    sentences.push(
      `${file} asks for ${listed(optional, fields)}, which is not done unless a call asks for it: give ${[...new Set(optional.map((field) => SETTINGS[field]?.option))].join(', ')}.`,
    );
  return sentences;
}

function changes(field: string, fields: Fields): boolean {
  if (!Object.hasOwn(fields, field)) return false;
  const value = fields[field];
  if (value === null || (Array.isArray(value) && value.length === 0)) return false;
  return value !== SETTINGS[field]?.neutral;
}

function listed(names: readonly string[], fields: Fields): string {
  return names.map((name) => `${name} ${showValue(fields[name])}`).join(', ');
}
