import { isUtf8 } from 'node:buffer';
import { stat } from 'node:fs/promises';
import { HintError, throwIfAborted, type HintErrorCode } from './errors.js';
import { VALUE_BYTES, checkBytes, checkBytesSoFar, limits } from './limits.js';
import { openInput, openRegularFile } from './open-input.js';
import { readError } from './read-error.js';

/** The most levels of nested lists and objects in a document. */
export const MOST_LEVELS = 256;

// Bytes that are read at a time from a file of unknown size, such as a pipe.
const CHUNK_BYTES = 1 << 20;

const LFS_POINTER = 'version https://git-lfs';
const MOST_POINTER_BYTES = 1024;

/**
 * Reads a whole file.
 *
 * @param what what the file is, for the error message, e.g. `the task file`
 * @throws HintError `NOT_FOUND` when it does not exist, `IO` when it cannot be read, `LIMIT_EXCEEDED` when it is larger
 *   than a file may be (see limits.ts), `INVALID_FILE` when it is the pointer that Git LFS puts in a file's place, `ABORTED`
 */
export async function readBytes(file: string, what: string, signal?: AbortSignal): Promise<Buffer> {
  throwIfAborted(signal);
  try {
    const bytes = await readWhole(file, signal);
    if (bytes.length < MOST_POINTER_BYTES && bytes.toString('latin1', 0, LFS_POINTER.length) === LFS_POINTER)
      throw new HintError(
        'INVALID_FILE',
        `${file} is a Git LFS pointer and not ${what}; fetch it with "git lfs pull", or download the file itself.`,
      );
    return bytes;
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof HintError) throw cause;
    throw readError(file, cause, what);
  }
}

async function readWhole(file: string, signal: AbortSignal | undefined): Promise<Buffer> {
  const status = await stat(file);
  if (status.isFile() && status.size > 0) {
    checkBytes(file, 'it has', status.size);
    await using handle = await openRegularFile(file);
    return await handle.readFile(signal ? { signal } : {});
  }
  // A device or a pipe has no known size, and may have no end.
  const parts: Buffer[] = [];
  let total = 0;
  for await (const part of openInput(file, { chunkBytes: CHUNK_BYTES, signal }) as AsyncIterable<Buffer>) {
    throwIfAborted(signal);
    total += part.length;
    checkBytesSoFar(file, 'it has', total);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/**
 * Reads a whole text file in UTF-8, with or without a byte order mark.
 *
 * @param what as in {@link readBytes}
 * @throws HintError as {@link readBytes}; `INVALID_DATA` when it is not UTF-8
 */
export async function readText(file: string, what: string, signal?: AbortSignal): Promise<string> {
  return decodeText(await readBytes(file, what, signal), file);
}

/**
 * Reads a whole JSON file.
 *
 * @param what as in {@link readBytes}
 * @throws HintError as {@link readText} and {@link parseJson}
 */
export async function readJson(file: string, what: string, signal?: AbortSignal): Promise<unknown> {
  return parseJson(await readText(file, what, signal), file, what);
}

/**
 * The text of bytes in UTF-8, without a byte order mark.
 *
 * @param where names the file, and the line, in the error
 * @throws HintError `INVALID_DATA` when they are not UTF-8
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  if (!isUtf8(bytes)) {
    const isWide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    throw new HintError(
      'INVALID_DATA',
      `${where} is not UTF-8${isWide ? ' but seems to be UTF-16' : ''}; convert it, or fetch it again.`,
    );
  }
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  try {
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, bytes.byteLength - start).toString('utf8');
  } catch (cause) {
    // JavaScript strings have a maximum length, which applies whatever the limit is.
    throw new HintError(
      'LIMIT_EXCEEDED',
      `${where} was not read: its ${bytes.byteLength} bytes are more than a text can have; split it.`,
      { cause },
    );
  }
}

/**
 * Parses the text of a JSON file, with or without a byte order mark.
 *
 * @throws HintError `INVALID_JSON` naming the file and the parser's reason, or that it is nested deeper than
 *   {@link MOST_LEVELS}; `LIMIT_EXCEEDED` when its values would take more memory than a file may
 */
export function parseJson(text: string, file: string, what: string): unknown {
  checkBytes(file, 'it has', text.length);
  checkValues(text, file);
  let value: unknown;
  try {
    value = JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HintError(
      'INVALID_JSON',
      `${file} is not valid JSON (${reason}); ${what} may be cut off: fetch or write it again.`,
      { cause },
    );
  }
  // A text of fewer characters cannot be nested so deeply.
  if (text.length > MOST_LEVELS && !isWithin(value, MOST_LEVELS)) throw tooDeep(file, 'INVALID_JSON');
  return value;
}

/**
 * Refuses a value that is nested so deeply that recursive functions would exhaust the stack.
 *
 * @throws HintError `code`
 */
export function checkLevels(
  value: unknown,
  where: string,
  code: 'INVALID_JSON' | 'INVALID_DATA' | 'INVALID_CONFIG',
): void {
  if (!isWithin(value, MOST_LEVELS, new Map())) throw tooDeep(where, code);
}

function tooDeep(where: string, code: HintErrorCode): HintError {
  return new HintError(
    code,
    `${where} is nested deeper than ${MOST_LEVELS} levels, the limit; no file that is read here needs as many: write it flatter.`,
  );
}

/**
 * @param seen levels that sufficed for an object, or IN_PROGRESS: one in many places is not looked at again, and one that
 *   holds itself is as deep as can be
 */
function isWithin(value: unknown, levels: number, seen?: Map<object, number>): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (levels === 0) return false;
  const sufficed = seen?.get(value);
  if (sufficed === IN_PROGRESS) return false;
  if (sufficed !== undefined && levels >= sufficed) return true;
  seen?.set(value, IN_PROGRESS);
  if (!holdsWithin(value, levels - 1, seen)) return false;
  seen?.set(value, levels);
  return true;
}

const IN_PROGRESS = -1;

function holdsWithin(value: object, levels: number, seen: Map<object, number> | undefined): boolean {
  if (Array.isArray(value)) return value.every((one) => isWithin(one, levels, seen));
  for (const key in value) if (!isWithin((value as Record<string, unknown>)[key], levels, seen)) return false;
  return true;
}

/**
 * Refuses a text whose parsed values would exceed the limit: `[],[],…` takes ten times its size. Small texts are not
 * counted.
 */
function checkValues(text: string, file: string): void {
  const most = limits().bytes;
  if (text.length < most / 32) return;
  let values = 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === COMMA || code === COLON || code === BRACKET || code === BRACE) values++;
  }
  checkBytes(file, `its ${values} values take, with its text, about`, text.length + VALUE_BYTES * values);
}

const [QUOTE, COMMA, COLON, BRACKET, BRACE] = [0x22, 0x2c, 0x3a, 0x5b, 0x7b];

/** Index of the quote that closes the string opened at `start`, or the text's length if none does. */
function endOfString(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote !== -1; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return quote;
  }
  return text.length;
}
