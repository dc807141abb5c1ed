import { HintError, throwIfAborted } from '../../util/errors.js';
import { openInput } from '../../util/open-input.js';
import { readError } from '../../util/read-error.js';
import { gunzip } from '../../util/gunzip.js';
import { checkLine } from '../../util/limits.js';
import type { Notices } from '../../util/notices.js';
import { checkIsNotPacked } from '../packed.js';
import { NOTICED } from '../noticed.js';
import type { TextFile } from './files.js';

/** A line of a file. */
export interface Line {
  /** Without its end, and without the byte order mark of a file. */
  bytes: Uint8Array;
  /** Counted from 1. */
  line: number;
  /** Where the next line begins in the unpacked file. */
  nextByte: number;
}

/** Options of {@link readLines}. */
export interface ReadLinesOptions {
  /** False: the whole file is one line (default true). */
  split?: boolean;
  /** Gathers that the file is empty or has zeros between its members. */
  notices?: Notices | undefined;
  signal?: AbortSignal | undefined;
}

const READ_BYTES = 2 ** 18;
const LINE_FEED = 10;

/**
 * The lines of a file from a place on that are not blank, as a stream: memory does not grow with the file. A plain file is
 * entered at the byte; a packed one is unpacked from its start, without looking at what is passed over.
 *
 * @param from lines and bytes that were read already
 * @throws HintError `NOT_FOUND`, `IO`, `INVALID_FILE` (a damaged .gz), `LIMIT_EXCEEDED` (a line longer than `checkLine` allows), `ABORTED`
 */
export async function* readLines(
  file: TextFile,
  from: { line: number; byte: number },
  { split = true, notices, signal }: ReadLinesOptions = {},
): AsyncGenerator<Line, void, undefined> {
  let [line, byte] = [from.line, from.byte];
  let toSkip = file.gzip ? byte : 0;
  const rest: Uint8Array[] = [];
  let restBytes = 0;
  const take = (last: Uint8Array, ended: boolean): Line => {
    const whole = rest.length === 0 ? last : Buffer.concat([...rest, last]);
    rest.length = restBytes = 0;
    const bytes = byte === 0 ? withoutMark(whole) : whole;
    byte += whole.length + (ended ? 1 : 0);
    return { bytes, line: ++line, nextByte: byte };
  };
  for await (let chunk of chunksOf(file, byte, { notices, signal })) {
    if (toSkip > 0) {
      const skipped = Math.min(toSkip, chunk.length);
      toSkip -= skipped;
      chunk = chunk.subarray(skipped);
    }
    let begin = 0;
    while (split && begin < chunk.length) {
      const end = chunk.indexOf(LINE_FEED, begin);
      if (end < 0) break;
      // Here rather than where lines are read: a few kilobytes may unpack to a billion blank ones.
      if (restBytes === 0 && isBlank(chunk, begin, end)) {
        line++;
        byte += end + 1 - begin;
      } else yield take(chunk.subarray(begin, end), true);
      begin = end + 1;
    }
    if (begin < chunk.length) {
      rest.push(chunk.subarray(begin));
      restBytes += chunk.length - begin;
    }
    checkLine(file.path, restBytes, line + 1);
  }
  if (restBytes > 0) yield take(new Uint8Array(0), false);
}

async function* chunksOf(
  file: TextFile,
  byte: number,
  { notices, signal }: ReadLinesOptions,
): AsyncGenerator<Buffer, void, undefined> {
  throwIfAborted(signal);
  const source = openInput(file.path, { start: file.gzip ? 0 : byte, chunkBytes: READ_BYTES, signal });
  const onPadding = (): void => notices?.addOnce(NOTICED.padded, file.path);
  let isEmpty = byte === 0;
  const stream: AsyncIterable<Buffer> = file.gzip
    ? gunzip(source, { chunkSize: READ_BYTES, onPadding })
    : source;
  try {
    for await (const chunk of stream) {
      throwIfAborted(signal);
      if (isEmpty) checkIsNotPacked(file.path, chunk);
      isEmpty = false;
      yield chunk;
    }
    if (isEmpty) notices?.addOnce(NOTICED.empty, file.path);
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof HintError) throw cause;
    throw unreadable(file, cause as NodeJS.ErrnoException);
  } finally {
    source.destroy();
  }
}

function unreadable({ path }: TextFile, cause: NodeJS.ErrnoException): unknown {
  if (cause.code === 'ENOENT')
    return new HintError('NOT_FOUND', `No file ${path}; it was there when the corpus was listed.`, { cause });
  if (cause.code?.startsWith('Z_'))
    return new HintError(
      'INVALID_FILE',
      `${path} is no whole gzip file (${cause.message}); fetch it again.`,
      { cause },
    );
  return readError(path, cause);
}

/** Whether bytes are white space: spaces, and the controls from tab to carriage return. */
export function isBlank(bytes: Uint8Array, begin = 0, end = bytes.length): boolean {
  for (let i = begin; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte !== 0x20 && (byte < 0x09 || byte > 0x0d)) return false;
  }
  return true;
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}
