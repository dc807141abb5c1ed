import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { DTYPE_BYTES, elementCount, isKnownDType, type TensorInfo } from '../weights/dtypes.js';

/** A tensor's place in its file: bytes [begin, begin + byteLength) after the header. */
export interface TensorLocation extends TensorInfo {
  readonly begin: number;
}

/** A file's parsed header: tensors in the order of their bytes, and the free-form metadata. */
export interface SafetensorsHeader {
  readonly tensors: readonly TensorLocation[];
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Largest header accepted, in bytes: about 100,000 tensors, a hundred times a large model's. The format allows ten times
 * as much, which would keep the event loop for many seconds.
 */
export const MAX_HEADER_BYTES = 10_000_000;

// header → tensor entry → shape; anything deeper is not a header, and parsing it would only cost memory.
const MAX_DEPTH = 3;

// Far more than tensors have; each size is copied wherever the tensor goes.
const MAX_RANK = 32;

/** The error for a file that is not what the format says, with the fault as half a sentence. */
export function invalidSafetensors(path: string, message: string, cause?: unknown): HintError {
  return new HintError('INVALID_CHECKPOINT', `${path} is not a valid safetensors file: ${message}.`, {
    cause,
  });
}

/** Index of the quote that closes the string opened at `start`, or the text's length if none does. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote;
  }
  return text.length;
}

function isFollowedByColon(text: string, index: number): boolean {
  let next = index + 1;
  while (' \t\r\n'.includes(text[next] ?? '.')) next++;
  return text[next] === ':';
}

/**
 * Rejects what JSON.parse would accept in silence: repeated keys (it keeps the last) and deep nesting. Runs before it,
 * in one pass, and leaves all other syntax errors to it.
 */
function checkKeysAndDepth(path: string, text: string): void {
  const levels: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '{' || character === '[') {
      levels.push(character === '{' ? new Set() : undefined);
      if (levels.length > MAX_DEPTH) {
        throw invalidSafetensors(path, `its header is nested deeper than ${MAX_DEPTH} levels`);
      }
    } else if (character === '}' || character === ']') {
      levels.pop();
    } else if (character === '"') {
      const end = endOfString(text, i);
      if (isFollowedByColon(text, end)) {
        const token = text.slice(i, end + 1);
        const key = token.includes('\\') ? String(parseJson(path, token)) : token.slice(1, -1);
        const keys = levels.at(-1);
        if (keys?.has(key)) {
          throw invalidSafetensors(path, `its header has the key ${JSON.stringify(key)} twice`);
        }
        keys?.add(key);
      }
      i = end;
    }
  }
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalidSafetensors(path, `its header is not JSON (${(cause as Error).message})`, cause);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseMetadata(path: string, value: unknown): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === undefined) return metadata;
  if (!isObject(value)) throw invalidSafetensors(path, 'its __metadata__ is not an object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string')
      throw invalidSafetensors(path, `its __metadata__ ${JSON.stringify(key)} is not a string`);
    metadata.set(key, text);
  }
  return metadata;
}

function parseTensor(path: string, name: string, entry: unknown): TensorLocation {
  const tensor = `tensor ${showValue(name)}`;
  if (!isObject(entry)) throw invalidSafetensors(path, `${tensor} is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || dtype === '')
    throw invalidSafetensors(path, `${tensor} has dtype ${showValue(dtype)}, which is no name of one`);
  const count = Array.isArray(shape) && shape.length <= MAX_RANK ? elementCount(shape) : undefined;
  if (count === undefined) {
    throw invalidSafetensors(
      path,
      `${tensor} has shape ${showValue(shape)}; give a list of up to ${MAX_RANK} sizes`,
    );
  }
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? (offsets as unknown[]) : [];
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end)) {
    throw invalidSafetensors(path, `${tensor} has data_offsets ${showValue(offsets)}, not [begin, end]`);
  }
  const held = (end as number) - (begin as number);
  // What an element of another dtype takes is not known: such a tensor can be listed, but not read as numbers.
  const byteLength = isKnownDType(dtype) ? count * DTYPE_BYTES[dtype] : held;
  if (held !== byteLength || held < 0) {
    throw invalidSafetensors(
      path,
      `${tensor} of shape ${showValue(shape)} and dtype ${showValue(dtype).slice(1, -1)} takes ${byteLength} bytes, but its data_offsets span ${held}`,
    );
  }
  return { name, dtype, shape: shape as number[], byteLength, begin: begin as number };
}

/** The tensors must cover the data without gap or overlap, so that no byte has two meanings and none is hidden. */
function checkCoverage(path: string, tensors: readonly TensorLocation[], dataBytes: number): void {
  let covered = 0;
  for (const { name, begin, byteLength } of tensors) {
    if (begin !== covered) {
      const fault = begin < covered ? 'overlaps the tensor before it' : 'leaves a gap before it';
      throw invalidSafetensors(
        path,
        `tensor ${JSON.stringify(name)} starts at byte ${begin}, expected ${covered}; it ${fault}`,
      );
    }
    covered += byteLength;
    if (covered > dataBytes) {
      throw invalidSafetensors(
        path,
        `tensor ${JSON.stringify(name)} ends at byte ${covered} of ${dataBytes}; the file is truncated, download or copy it again`,
      );
    }
  }
  if (covered < dataBytes)
    throw invalidSafetensors(path, `${dataBytes - covered} bytes after its last tensor belong to none`);
}

/**
 * Parses and checks a header: every dtype, shape and offset, no repeated name, no gap, overlap or byte left over.
 *
 * @param path names the file in errors
 * @param bytes the header's JSON
 * @param dataBytes size of what follows the header in the file
 * @throws HintError INVALID_CHECKPOINT saying what is wrong
 */
export function parseHeader(path: string, bytes: Uint8Array, dataBytes: number): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw invalidSafetensors(path, 'its header is not UTF-8', cause);
  }
  checkKeysAndDepth(path, text);
  const header = parseJson(path, text);
  if (!isObject(header)) throw invalidSafetensors(path, 'its header is not an object');
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  const tensors = names.map((name) => parseTensor(path, name, header[name]));
  // Empty tensors share their begin with the next one and go in front of it.
  tensors.sort((a, b) => a.begin - b.begin || a.byteLength - b.byteLength);
  checkCoverage(path, tensors, dataBytes);
  return { tensors, metadata: parseMetadata(path, header.__metadata__) };
}
