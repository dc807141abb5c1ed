import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../util/errors.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { check, listOf } from '../util/check.js';
import { sha256 } from '../util/hash.js';
import type { Notice, Notices } from '../util/notices.js';
import { parseJson, readBytes } from '../util/read-file.js';
import { concatenate, InstructionRows, type Choice, type TokenizedExample } from './batch.js';

/**
 * Raise when the layout or a prompt format changes: old files are then not found. What changes in tokenizers is for
 * `Tokenizer.idsKey` to say.
 */
export const TOKEN_CACHE_VERSION = 2;

const MAGIC = 'HINTTOK1';
const HEADER_BYTES = 72;
const KEY_AT = 8;
const CHECKSUM_AT = 40;
const COUNTS_AT = 56;

/**
 * Packs examples into one buffer, the form in which they cross threads and lie on disk:
 * magic (8 bytes), key (32), first 16 bytes of the body's SHA-256, three little-endian u32 (sequences, tokens,
 * bytes of JSON), 4 bytes of zero; then the body: i32 offsets, i32 token ids, and JSON of what is text. The
 * sequences are the distinct instructions, then input and target of every example, then the distinct choices.
 *
 * @param key SHA-256 of everything the ids depend on, 32 bytes
 * @param notices what was noticed while the examples were made
 */
export function packExamples(
  examples: readonly TokenizedExample[],
  key: Uint8Array,
  notices: readonly Notice[] = [],
): Uint8Array<ArrayBuffer> {
  const rows = new InstructionRows();
  const choices = new Map<Choice, number>();
  const described = examples.map(({ id, task, instruction, references, choices: own }) => ({
    id,
    task,
    references,
    instruction: instruction.length > 0 ? rows.row(instruction) : -1,
    ...(own ? { choices: own.map((choice) => numberOf(choices, choice)) } : {}),
  }));
  const { ids, offsets } = concatenate([
    ...rows.distinct,
    ...examples.flatMap(({ input, target }) => [input, target]),
    ...[...choices.keys()].map((choice) => choice.ids),
  ]);
  const text: PackedText = {
    instructions: rows.distinct.length,
    choices: [...choices.keys()].map((choice) => choice.text),
    examples: described,
    notices,
  };
  const json = Buffer.from(JSON.stringify(text), 'utf8');
  const packed = Buffer.alloc(HEADER_BYTES + offsets.byteLength + ids.byteLength + json.byteLength);
  packed.write(MAGIC, 0, 'latin1');
  packed.set(key, KEY_AT);
  [offsets.length - 1, ids.length, json.byteLength].forEach((n, i) =>
    packed.writeUInt32LE(n, COUNTS_AT + 4 * i),
  );
  packed.set(new Uint8Array(offsets.buffer), HEADER_BYTES);
  packed.set(new Uint8Array(ids.buffer), HEADER_BYTES + offsets.byteLength);
  packed.set(json, HEADER_BYTES + offsets.byteLength + ids.byteLength);
  packed.set(bodyChecksum(packed), CHECKSUM_AT);
  return packed as Uint8Array<ArrayBuffer>;
}

/** The JSON of a packed buffer. */
interface PackedText {
  /** Number of distinct instructions. */
  instructions: number;
  /** Texts of the distinct choices. */
  choices: string[];
  /** `instruction` and `choices` are numbers of distinct ones, −1 for no instruction. */
  examples: {
    id: string;
    task: string;
    references: string[];
    instruction: number;
    choices?: number[] | undefined;
  }[];
  notices: readonly Notice[];
}

/** Where everything is in a packed buffer: for reading single examples without unpacking the others. */
export interface PackedLayout extends PackedText {
  /** Sequence i is at `ids[offsets[i] … offsets[i+1])`; see {@link packExamples} for their order. */
  offsets: Int32Array;
  /** A view into the buffer. */
  ids: Int32Array;
  /** Byte of the first id in the buffer. */
  idsAt: number;
}

const count = z.int().min(0);
const packedText: z.ZodType<PackedText> = z.object({
  instructions: count,
  choices: listOf(z.string()),
  examples: listOf(
    z.object({
      id: z.string(),
      task: z.string(),
      references: listOf(z.string()),
      instruction: z.int().min(-1),
      choices: listOf(count).optional(),
    }),
  ),
  // Version 0.1.0 noticed nothing.
  notices: listOf(z.object({ what: z.string(), count, places: listOf(z.string()) })).default([]),
});

const CACHE = 'A file of the token cache';

function damaged(fault: string): HintError {
  return new HintError('INVALID_FILE', `${CACHE} is damaged (${fault}); delete the cache, it is made again.`);
}

/**
 * Reads the layout of a packed buffer, whose checksum has been checked.
 *
 * @throws HintError INVALID_FILE, INVALID_JSON for one that another program made
 */
export function packedLayout(packed: Uint8Array): PackedLayout {
  const view = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const [sequences, tokens] = [view.readUInt32LE(COUNTS_AT), view.readUInt32LE(COUNTS_AT + 4)];
  const idsAt = HEADER_BYTES + 4 * (sequences + 1);
  const offsets = new Int32Array(packed.buffer, packed.byteOffset + HEADER_BYTES, sequences + 1);
  const ids = new Int32Array(packed.buffer, packed.byteOffset + idsAt, tokens);
  const json = parseJson(view.toString('utf8', idsAt + 4 * tokens), CACHE, 'its text');
  const { data: text, faults } = check(packedText, json);
  if (faults) throw damaged(`${faults[0].path.join('.') || 'its text'} ${faults[0].message}`);
  if (
    offsets.some((offset, i) => offset < (i > 0 ? (offsets[i - 1] as number) : 0)) ||
    offsets[sequences] !== tokens
  )
    throw damaged('its sequences overlap, or do not fill it');
  const { instructions, examples, choices } = text;
  if (instructions + 2 * examples.length + choices.length !== sequences)
    throw damaged(`it has ${sequences} sequences for ${examples.length} examples`);
  const isNumber = (most: number) => (number: number) => number < most;
  if (
    !examples.every(
      ({ instruction, choices: own = [] }) =>
        isNumber(instructions)(instruction) && own.every(isNumber(choices.length)),
    )
  )
    throw damaged('an example names a sequence that it lacks');
  return { ...text, offsets, ids, idsAt };
}

/**
 * The examples of a packed buffer; their arrays are views into it.
 *
 * @param notices gathers what was noticed while they were made
 * @throws HintError as {@link packedLayout}
 */
export function unpackExamples(packed: Uint8Array, notices?: Notices): TokenizedExample[] {
  const { instructions, choices, examples, offsets, ids, notices: found } = packedLayout(packed);
  notices?.addAll(found);
  const sequence = (i: number): Int32Array => ids.subarray(offsets[i], offsets[i + 1]);
  const rows = Array.from({ length: instructions }, (_, i) => sequence(i));
  const firstChoice = instructions + 2 * examples.length;
  const known = choices.map((text, i): Choice => ({ text, ids: sequence(firstChoice + i) }));
  const none = new Int32Array(0);
  return examples.map(({ id, task, references, instruction, choices: own }, i) => ({
    id,
    task,
    instruction: rows[instruction] ?? none,
    input: sequence(instructions + 2 * i),
    target: sequence(instructions + 2 * i + 1),
    references,
    ...(own ? { choices: own.map((choice) => known[choice]!) } : {}),
  }));
}

function numberOf<T>(numbers: Map<T, number>, value: T): number {
  const known = numbers.get(value);
  if (known !== undefined) return known;
  numbers.set(value, numbers.size);
  return numbers.size - 1;
}

/** The key that packed examples were made under. */
export function packedKey(packed: Uint8Array): Uint8Array {
  return packed.subarray(KEY_AT, CHECKSUM_AT);
}

/**
 * The packed examples stored under a key, or undefined when there are none or the file is not whole: a damaged
 * cache costs time, never correctness.
 */
export async function readTokenCache(
  directory: string,
  key: Uint8Array,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = await readBytes(tokenCacheFile(directory, key), 'the token cache').catch(() => undefined);
  if (bytes === undefined || !isWhole(bytes, key)) return undefined;
  // Token ids are read in place, which needs them aligned in the buffer.
  return new Uint8Array(bytes);
}

/**
 * Stores packed examples under the key inside them.
 *
 * @throws HintError `IO` when the folder cannot be written
 */
export async function writeTokenCache(directory: string, packed: Uint8Array): Promise<void> {
  await writeFileAtomic(tokenCacheFile(directory, packedKey(packed)), packed);
}

/** The file of packed examples with this key. */
export function tokenCacheFile(directory: string, key: Uint8Array): string {
  return join(directory, `${Buffer.from(key).toString('hex')}.tokens`);
}

function isWhole(bytes: Buffer, key: Uint8Array): boolean {
  if (bytes.byteLength < HEADER_BYTES || bytes.toString('latin1', 0, KEY_AT) !== MAGIC) return false;
  if (!bytes.subarray(KEY_AT, CHECKSUM_AT).equals(key)) return false;
  const [sequences, tokens, json] = [0, 4, 8].map((at) => bytes.readUInt32LE(COUNTS_AT + at)) as [
    number,
    number,
    number,
  ];
  if (bytes.byteLength !== HEADER_BYTES + 4 * (sequences + 1 + tokens) + json) return false;
  return bytes.subarray(CHECKSUM_AT, COUNTS_AT).equals(bodyChecksum(bytes));
}

function bodyChecksum(packed: Buffer): Buffer {
  return sha256(packed.subarray(COUNTS_AT)).subarray(0, COUNTS_AT - CHECKSUM_AT);
}
