import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { isObject, readBeside, type Fields } from './beside.js';
import { readConfigFile } from './config-file.js';
import { GENERATION_FILE } from './generation-file.js';

/**
 * The object that {@link readConfigFile} finds, completed by the files beside it that say how the model ends and begins what it
 * generates: generation_config.json goes before config.json; where neither says how a sequence ends,
 * special_tokens_map.json does.
 *
 * @throws HintError as {@link readConfigFile}; INVALID_CONFIG for a training run, and for an id in generation_config.json that
 *   is none
 */
export async function readModelFile(directory: string): Promise<{ config: unknown; path: string }> {
  const { config, path } = await readConfigFile(directory);
  if (!isObject(config)) return { config, path };
  if (isObject(config['model']) && isObject(config['data']) && 'output' in config)
    throw new HintError(
      'INVALID_CONFIG',
      `${directory} is a training run, and no model; give the folder of one of its models: ${join(directory, 'best')}, where it was validated, or ${join(directory, 'model')}.`,
    );
  const generation = (await readBeside(directory, GENERATION_FILE)) ?? {};
  const completed = { ...config };
  for (const key of ['eos_token_id', 'decoder_start_token_id']) {
    const value = generation[key];
    if (value === null || value === undefined) continue;
    if (!Number.isInteger(value) && !Array.isArray(value))
      throw new HintError(
        'INVALID_CONFIG',
        `${join(directory, GENERATION_FILE)} has the ${key} ${showValue(value)}, which is no token id; correct it, or take the file away.`,
      );
    completed[key] = value;
  }
  // What transformers begins with where no other token is named.
  const begin = generation['bos_token_id'] ?? config['bos_token_id'];
  if (Number.isInteger(begin)) completed['decoder_start_token_id'] ??= begin;
  if (completed['eos_token_id'] === null) {
    const id = await specialTokenId(directory, 'eos_token');
    if (id !== undefined) completed['eos_token_id'] = id;
  }
  return { config: completed, path };
}

/** The id of a token that special_tokens_map.json names, as the files of the tokenizer number it. */
async function specialTokenId(directory: string, which: string): Promise<number | undefined> {
  const { [which]: named } = (await readBeside(directory, 'special_tokens_map.json')) ?? {};
  const text = isObject(named) ? named['content'] : named;
  if (typeof text !== 'string') return undefined;
  const { added_tokens: added, model } = (await readBeside(directory, 'tokenizer.json')) ?? {};
  const known = Array.isArray(added)
    ? added.find((one) => isObject(one) && one['content'] === text)
    : undefined;
  const tables = [
    known && { [text]: (known as Fields)['id'] },
    isObject(model) ? model['vocab'] : undefined,
    await readBeside(directory, 'added_tokens.json'),
    await readBeside(directory, 'vocab.json'),
  ];
  for (const table of tables) {
    if (Array.isArray(table)) {
      const place = table.findIndex((piece) => Array.isArray(piece) && piece[0] === text);
      if (place >= 0) return place;
    } else if (isObject(table) && Object.hasOwn(table, text) && Number.isInteger(table[text]))
      return table[text] as number;
  }
  return undefined;
}
