import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { HintError, throwIfAborted } from '../errors.js';

// A line of this length is no line of text; without a limit a damaged file would fill the memory.
const LONGEST_LINE = 64 * 1024 * 1024;
const NEWLINE = 10;

/** Whole lines of a file, with the newline of each but perhaps the last. */
export interface LineBlock {
  bytes: Uint8Array;
  /** Number of the first line, from 1. */
  firstLine: number;
}

/**
 * Streams a text file as blocks of whole lines, unpacking it when its name ends in `.gz`: what worker threads take
 * as jobs, whatever the size of the file.
 *
 * @param what what the file is, for errors
 * @param blockBytes size from which a block is given out (default 1 MiB)
 * @throws HintError NOT_FOUND, IO, INVALID_DATA (a damaged or cut-off archive, a line of more than 64 MiB), ABORTED
 */
export async function* readLineBlocks(
  file: string,
  what: string,
  { blockBytes = 1 << 20, signal }: { blockBytes?: number; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<LineBlock, void, undefined> {
  throwIfAborted(signal);
  const raw = createReadStream(file, { highWaterMark: 256 * 1024 });
  const stream = file.endsWith('.gz') ? pipeline(raw, createGunzip(), () => undefined) : raw;
  let parts: Buffer[] = [];
  let length = 0;
  let firstLine = 1;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      throwIfAborted(signal);
      parts.push(chunk);
      length += chunk.length;
      if (length < blockBytes) continue;
      const end = chunk.lastIndexOf(NEWLINE) + 1;
      if (end === 0) {
        if (length > LONGEST_LINE) throw tooLong(file, firstLine);
        continue;
      }
      const rest = chunk.subarray(end);
      const bytes = Buffer.concat([...parts.slice(0, -1), chunk.subarray(0, end)]);
      parts = rest.length > 0 ? [Buffer.from(rest)] : [];
      length = rest.length;
      yield { bytes, firstLine };
      firstLine += countLines(bytes);
    }
    if (length > 0) yield { bytes: Buffer.concat(parts), firstLine };
  } catch (cause) {
    throw cause instanceof HintError ? cause : readError(file, what, cause);
  } finally {
    raw.destroy();
    stream.destroy();
  }
}

function countLines(bytes: Uint8Array): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

function tooLong(file: string, line: number): HintError {
  return new HintError(
    'INVALID_DATA',
    `A line of ${file}, line ${line} or later, has more than ${LONGEST_LINE} bytes; write one JSON object a line.`,
  );
}

function readError(file: string, what: string, cause: unknown): HintError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new HintError('NOT_FOUND', `No file ${file}; check the path of ${what}.`, { cause });
  if (code?.startsWith('Z_'))
    return new HintError(
      'INVALID_DATA',
      `${file} is not a whole gzip archive (${message}); fetch or write it again.`,
      { cause },
    );
  return new HintError('IO', `Could not read ${what} ${file}: ${message}.`, { cause });
}
