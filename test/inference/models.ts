import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildModel } from '../../src/model/hint/build-model.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { parseModelConfig, type ModelConfig } from '../../src/model/config/config.js';
import { saveModel } from '../../src/model/checkpoint/checkpoint.js';
import { initialiseParameters } from '../../src/model/parameters/initialise.js';
import { Device } from '../../src/tensor/device.js';

/** A small HINT with the original's greedy outputs beside it. */
export const GREEDY_MODEL = fileURLToPath(new URL('../fixtures/original/greedy', import.meta.url));
export const TOKENIZER = fileURLToPath(new URL('../fixtures/tokenizer/tokenizer.json', import.meta.url));

/** A config of two tiny layers for the test tokenizer; `hint` as in config.json, null for plain T5. */
export function tinyConfig(
  hint: Record<string, unknown> | null,
  rest: Record<string, unknown> = {},
): ModelConfig {
  return parseModelConfig({
    vocab_size: 8128,
    d_model: 32,
    d_kv: 8,
    d_ff: 48,
    num_layers: 2,
    num_heads: 4,
    dropout_rate: 0,
    ...(hint ? { hint } : {}),
    ...rest,
  });
}

/** A HINT with every kind of module. */
export const FULL_HINT = { adapter_size: 4, prefix_length: 3, lora_ranks: [2, 0, 2, 0] };

/** A model of random weights that are large enough for outputs to differ between inputs. */
export function randomModel(device: Device, config: ModelConfig, seed = 1): EncoderDecoderModel {
  return buildModel(device, config, initialiseParameters(device, config, seed));
}

/** A directory of a random model with the test tokenizer; the caller removes it. */
export async function writeModel(config: ModelConfig, { seed = 1, tokenizer = true } = {}): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hint-model-'));
  using device = new Device({ threads: 1 });
  await saveModel(randomModel(device, config, seed), directory);
  if (tokenizer) await copyFile(TOKENIZER, join(directory, 'tokenizer.json'));
  return directory;
}

export async function removeAll(directories: string[]): Promise<void> {
  await Promise.all(directories.map((directory) => rm(directory, { recursive: true, force: true })));
}
