import { isUtf8 } from 'node:buffer';
import { addAbortSignal, type Readable } from 'node:stream';
import { HintError, throwIfAborted } from '../util/errors.js';
import { readError } from '../util/read-error.js';
import { gunzip } from '../util/gunzip.js';
import { checkLine } from '../util/limits.js';
import { openInput } from '../util/open-input.js';
import type { Notices } from '../util/notices.js';
import { decodeText } from '../util/read-file.js';
import { isBlankRecord, withoutReturn } from '../util/records.js';
import { NOTICED } from './noticed.js';
import { checkIsNotPacked } from './packed.js';

const NEWLINE = 10;
const READ_BYTES = 256 * 1024;

/** Whether a file is unpacked before it is read. */
export function isGzip(file: string): boolean {
  return /\.gz$/i.test(file);
}

/** Whole lines of a file, with the newline of each but perhaps the last. */
export interface LineBlock {
  bytes: Uint8Array;
  /** Number of the first line, from 1. */
  firstLine: number;
}

/** Options of {@link readLineBlocks}. */
export interface LineBlockOptions {
  source?: Readable | undefined;
  blockBytes?: number;
  /** Gathers that the file is empty or has zeros between its members. */
  notices?: Notices | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Streams a text file as blocks of whole lines, unpacking it when its name ends in `.gz`: what worker threads take
 * as jobs, whatever the size of the file.
 *
 * @param what what the file is, for errors
 * @param source what is read instead of the file, which then only has a name
 * @param blockBytes size from which a block is given out (default 1 MiB)
 * @throws HintError NOT_FOUND, IO, INVALID_DATA (a damaged or cut-off archive, or one under
 *   another name), LIMIT_EXCEEDED (a line longer than
 *   {@link checkLine} allows), ABORTED
 */
export async function* readLineBlocks(
  file: string,
  what: string,
  { source, blockBytes = 1 << 20, notices, signal }: LineBlockOptions = {},
): AsyncGenerator<LineBlock, void, undefined> {
  throwIfAborted(signal);
  const raw = source ?? openInput(file, { chunkBytes: READ_BYTES });
  // A pipe may wait for its writer forever, so aborting also ends the wait.
  if (signal) addAbortSignal(signal, raw);
  const onPadding = (): void => notices?.addOnce(NOTICED.padded, file);
  const stream: AsyncIterable<Buffer> = isGzip(file) ? gunzip(raw, { onPadding }) : raw;
  let parts: Buffer[] = [];
  let length = 0;
  // Of the line that the last chunk leaves open.
  let unended = 0;
  let firstLine = 1;
  let isEmpty = true;
  try {
    for await (const chunk of stream) {
      throwIfAborted(signal);
      if (isEmpty) checkIsNotPacked(file, chunk);
      isEmpty = false;
      parts.push(chunk);
      length += chunk.length;
      const end = chunk.lastIndexOf(NEWLINE) + 1;
      unended = end === 0 ? unended + chunk.length : chunk.length - end;
      checkLine(file, unended, firstLine);
      if (length < blockBytes || end === 0) continue;
      const rest = chunk.subarray(end);
      const bytes = Buffer.concat([...parts.slice(0, -1), chunk.subarray(0, end)]);
      parts = rest.length > 0 ? [Buffer.from(rest)] : [];
      length = rest.length;
      yield { bytes, firstLine };
      firstLine += countLines(bytes);
    }
    if (length > 0) yield { bytes: Buffer.concat(parts), firstLine };
    if (isEmpty) notices?.addOnce(NOTICED.empty, file);
  } catch (cause) {
    throwIfAborted(signal);
    throw cause instanceof HintError ? cause : unreadable(file, what, cause);
  } finally {
    raw.destroy();
  }
}

/** A line of text that is not blank. */
export interface TextLine {
  /** Without its end. */
  text: string;
  /** File and number, for errors. */
  where: string;
}

/**
 * The lines of a block that are not blank.
 *
 * @param file names the file in `where` and in errors
 * @throws HintError INVALID_DATA naming a line that is not UTF-8
 */
export function* linesOf(
  { bytes, firstLine }: LineBlock,
  file: string,
): Generator<TextLine, void, undefined> {
  if (isUtf8(bytes)) {
    for (const [i, text] of decodeText(bytes, file).split('\n').entries())
      if (!isBlankRecord(text)) yield { text: withoutReturn(text), where: `${file}, line ${firstLine + i}` };
    return;
  }
  for (let begin = 0, line = firstLine; begin < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, begin);
    const end = newline < 0 ? bytes.length : newline;
    const where = `${file}, line ${line}`;
    const text = decodeText(bytes.subarray(begin, end), where);
    if (!isBlankRecord(text)) yield { text: withoutReturn(text), where };
    begin = end + 1;
  }
}

/**
 * The lines of a text file that are not blank, one at a time.
 *
 * @throws HintError as {@link readLineBlocks} and {@link linesOf}
 */
export async function* readTextLines(
  file: string,
  what: string,
  options: LineBlockOptions = {},
): AsyncGenerator<TextLine, void, undefined> {
  for await (const block of readLineBlocks(file, what, options)) yield* linesOf(block, file);
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

function unreadable(file: string, what: string, cause: unknown): unknown {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code?.startsWith('Z_'))
    return new HintError(
      'INVALID_DATA',
      `${file} is not a whole gzip archive (${message}); fetch or write it again.`,
      { cause },
    );
  return readError(file, cause, what);
}
