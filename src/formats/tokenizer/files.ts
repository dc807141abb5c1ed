import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { HintError } from '../../util/errors.js';
import { copyFileAtomic, writeFileAtomic } from '../../util/atomic-file.js';
import { sha256Hex } from '../../util/hash.js';
import { decodeText, parseJson, readBytes } from '../../util/read-file.js';
import { isPlainObject } from '../../util/record-schema.js';
import { tokenizerOfGpt2Files } from './gpt2-files.js';
import { tokenizerOfSentencePiece } from './sentencepiece.js';

const TOKENIZER = 'tokenizer.json';
const SENTENCEPIECE = 'spiece.model';
const VOCABULARY = 'vocab.json';
const MERGES = 'merges.txt';
/** Files that hold a tokenizer, the ones that say most first. */
const FILES = [TOKENIZER, SENTENCEPIECE, VOCABULARY];

// Settings of a tokenizer in files beside it.
const SETTINGS = ['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'];

// As many as T5 has by far.
const MOST_SENTINELS = 10_000;

/** A tokenizer as it was found. */
export interface TokenizerFile {
  /** An absolute path. */
  readonly file: string;
  /** SHA-256 of all that the mapping from text to ids depends on. */
  readonly fingerprint: string;
  /** What a tokenizer.json says, or would say. */
  readonly json: unknown;
  /** Whether the tokenizer_config.json beside it asks for spaces in front of punctuation to be dropped from texts. */
  readonly cleansUp: boolean;
}

type TokenizerForm = Omit<TokenizerFile, 'cleansUp'>;

/**
 * The file of a folder that holds its tokenizer: `tokenizer.json`, or else `spiece.model` (T5), or else `vocab.json`, which
 * has `merges.txt` beside it (GPT-2, OPT). Undefined where there is none.
 */
export async function findTokenizerFile(folder: string): Promise<string | undefined> {
  for (const name of FILES) if (await exists(join(folder, name))) return resolve(folder, name);
  return undefined;
}

/**
 * Reads a tokenizer in any of the forms that {@link findTokenizerFile} knows.
 *
 * @param path one of these files, or a folder that holds one
 * @throws HintError `NOT_FOUND`, `INVALID_JSON`, `INVALID_FILE`, `LIMIT_EXCEEDED`
 */
export async function readTokenizerFile(path: string): Promise<TokenizerFile> {
  const found = await readForm(path);
  const config = (await readBeside(found.file, 'tokenizer_config.json'))?.json;
  // Absent means no, as in transformers 5; version 4 wrote the field.
  const cleansUp =
    (config as { clean_up_tokenization_spaces?: unknown } | null | undefined)
      ?.clean_up_tokenization_spaces === true;
  return { ...found, cleansUp };
}

async function readForm(path: string): Promise<TokenizerForm> {
  const isFolder = await stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  );
  const file = isFolder ? ((await findTokenizerFile(path)) ?? noTokenizer(path)) : resolve(path);
  const bytes = await readBytes(file, 'the tokenizer');
  if (file.endsWith('.model')) return readSentencePiece(file, bytes);
  const json = parseJson(decodeText(bytes, file), file, 'the tokenizer');
  if (basename(file) === VOCABULARY) return readGpt2Files(file, bytes, json);
  return { file, fingerprint: sha256Hex(bytes), json };
}

/**
 * Writes the `tokenizer.json` of a model that may have its tokenizer in another form: a tokenizer.json is copied as it is.
 *
 * @param source a folder or a file, as for {@link readTokenizerFile}
 * @param destination the path of the tokenizer.json
 * @returns the file that was read
 * @throws HintError as {@link readTokenizerFile}; `IO`
 */
export async function writeTokenizerJson(source: string, destination: string): Promise<string> {
  const { file, json } = await readTokenizerFile(source);
  const isOne = !file.endsWith('.model') && basename(file) !== VOCABULARY;
  if (isOne) await copyFileAtomic(file, destination);
  else await writeFileAtomic(destination, textOf(json));
  return file;
}

/**
 * Writes a tokenizer into the folder of a model: its `tokenizer.json`, and the files beside it that say how texts are made
 * of it and what its special tokens are.
 *
 * @param source as for {@link writeTokenizerJson}
 * @throws HintError as {@link writeTokenizerJson}
 */
export async function writeTokenizer(source: string, folder: string): Promise<void> {
  const file = await writeTokenizerJson(source, join(folder, TOKENIZER));
  for (const name of SETTINGS) {
    const path = join(dirname(file), name);
    if (await exists(path)) await copyFileAtomic(path, join(folder, name));
  }
}

async function readSentencePiece(file: string, bytes: Uint8Array): Promise<TokenizerForm> {
  const config = await readBeside(file, 'tokenizer_config.json');
  const given = isPlainObject(config?.json) ? config.json.extra_ids : undefined;
  const sentinels = typeof given === 'number' && Number.isInteger(given) && given >= 0 ? given : undefined;
  if (sentinels !== undefined && sentinels > MOST_SENTINELS)
    throw new HintError(
      'INVALID_FILE',
      `The tokenizer_config.json beside ${file} has ${sentinels} sentinels (extra_ids); at most ${MOST_SENTINELS} are read.`,
    );
  const json = tokenizerOfSentencePiece(bytes, file, sentinels);
  return { file, fingerprint: fingerprintOf(json), json };
}

async function readGpt2Files(file: string, bytes: Uint8Array, vocabulary: unknown): Promise<TokenizerForm> {
  const merges = join(dirname(file), MERGES);
  if (!(await exists(merges)))
    throw new HintError(
      'NOT_FOUND',
      `${file} has no ${MERGES} beside it, without which its pieces cannot be joined; fetch that file too, or the tokenizer.json of the model.`,
    );
  const json = tokenizerOfGpt2Files(
    {
      vocabulary,
      merges: decodeText(await readBytes(merges, 'the merges'), merges),
      config: (await readBeside(file, 'tokenizer_config.json'))?.json,
      specialTokensMap: (await readBeside(file, 'special_tokens_map.json'))?.json,
      addedTokens: (await readBeside(file, 'added_tokens.json'))?.json,
    },
    file,
  );
  return { file, fingerprint: fingerprintOf(json), json };
}

/** That of the tokenizer.json that {@link writeTokenizerJson} writes, so that a converted tokenizer is the same one. */
function fingerprintOf(json: object): string {
  return sha256Hex(Buffer.from(textOf(json)));
}

function textOf(json: unknown): string {
  return JSON.stringify(json);
}

async function readBeside(file: string, name: string): Promise<{ json: unknown } | undefined> {
  const path = join(dirname(file), name);
  if (!(await exists(path))) return undefined;
  return { json: parseJson(decodeText(await readBytes(path, 'the tokenizer'), path), path, 'the tokenizer') };
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => !entry.isDirectory(),
    () => false,
  );
}

function noTokenizer(folder: string): never {
  throw new HintError(
    'NOT_FOUND',
    `${folder} has no tokenizer: neither ${TOKENIZER}, nor ${SENTENCEPIECE}, nor ${VOCABULARY} with ${MERGES}; fetch the one that belongs to the model.`,
  );
}
