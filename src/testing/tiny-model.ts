import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { T5_SPECIAL_PIECES, unigramTokenizer } from '../formats/tokenizer/unigram-json.js';
import { ENGINE_MEMBERS, type EngineOptions } from '../inference/engine-arguments.js';
import { Engine } from '../inference/engine.js';
import { saveModel } from '../model/checkpoint/checkpoint.js';
import { parseModelConfig } from '../model/config/config.js';
import { buildModel } from '../model/hint/build-model.js';
import { initialiseParameters } from '../model/parameters/initialise.js';
import { Device } from '../tensor/device.js';
import {
  boolean,
  checked,
  integer,
  list,
  optional,
  options as optionsOf,
  path as pathKind,
  text,
  type Members,
} from '../util/arguments.js';
import { writeFileAtomic } from '../util/atomic-file.js';

/** What a tiny model is. */
export interface TinyModelOptions {
  /** Whether it has a hypernetwork that reads instructions (default true); else it is a plain T5. */
  hint?: boolean;
  /** Of the weights (default 1). The same seed gives the same model, and so the same answers. */
  seed?: number;
  /** Words of which each is one token; all other text is spelled in printable ASCII. */
  words?: readonly string[];
}

const TINY_MEMBERS: Members<TinyModelOptions> = {
  hint: optional(boolean),
  seed: optional(integer(0)),
  words: optional(list(text)),
};
const TINY = optionsOf<TinyModelOptions>(TINY_MEMBERS);
const TINY_ENGINE = optionsOf<TinyModelOptions & EngineOptions>({ ...TINY_MEMBERS, ...ENGINE_MEMBERS });

/** A whole word is likelier than its letters. */
const WORD_SCORE = -5;
const CHARACTER_SCORE = -20;

/**
 * Writes a model directory of some 200 KB: two layers of random weights, with a tokenizer. It runs whatever a large model runs, in
 * milliseconds, and its answers mean nothing.
 *
 * @param directory made, or filled; a model that is there is replaced
 * @throws HintError IO, INVALID_ARGUMENT, NATIVE_MISSING
 */
export async function writeTinyModel(directory: string, options: TinyModelOptions = {}): Promise<void> {
  checked(pathKind, directory, 'directory');
  const { hint = true, seed = 1, words = [] } = checked(TINY, options, 'options');
  const pieces = piecesOf(words);
  const config = parseModelConfig({
    vocab_size: pieces.size,
    d_model: 32,
    d_kv: 8,
    d_ff: 48,
    num_layers: 2,
    num_heads: 4,
    dropout_rate: 0,
    ...(hint ? { hint: { adapter_size: 4, prefix_length: 3 } } : {}),
  });
  using device = new Device({ threads: 1 });
  await saveModel(buildModel(device, config, initialiseParameters(device, config, seed)), directory);
  await writeFileAtomic(join(directory, 'tokenizer.json'), JSON.stringify(unigramTokenizer(pieces)));
}

/**
 * An engine of a tiny model, for tests of what uses an engine: all of it is as with a large model, but for what the answers say.
 * Leaves no file behind.
 *
 * @example
 * ```ts
 * await using engine = await openTinyEngine({ seed: 7 });
 * const [answer] = await (await engine.compile({ definition: 'Name the colour.' })).generate(['A red hat.'], { maxTokens: 4 });
 * ```
 * @throws HintError as Engine.open
 */
export async function openTinyEngine(options: TinyModelOptions & EngineOptions = {}): Promise<Engine> {
  const { hint, seed, words, ...ofEngine } = checked(TINY_ENGINE, options, 'options');
  const folder = await mkdtemp(join(tmpdir(), 'hint-tiny-'));
  try {
    await writeTinyModel(folder, {
      ...(hint === undefined ? {} : { hint }),
      ...(seed === undefined ? {} : { seed }),
      ...(words === undefined ? {} : { words }),
    });
    // The file stays mapped after its name is gone.
    return await Engine.open(folder, { threads: 1, ...ofEngine });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function piecesOf(words: readonly string[]): Map<string, number> {
  const pieces = new Map<string, number>(T5_SPECIAL_PIECES.map((piece) => [piece, 0]));
  pieces.set('▁', CHARACTER_SCORE);
  for (let code = 0x21; code < 0x7f; code++) pieces.set(String.fromCharCode(code), CHARACTER_SCORE);
  for (const word of words) pieces.set(`▁${word}`, WORD_SCORE);
  return pieces;
}
