import { Parser } from 'tar/parse';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { openInput } from '../../util/open-input.js';
import { checkBytes } from '../../util/limits.js';
import { readError } from '../../util/read-error.js';
import { showValue } from '../../util/show-value.js';

/** A regular file of an archive. */
export interface TarEntry {
  /** With `/` between its parts, none of them `..`. */
  readonly path: string;
  readonly bytes: Buffer;
  /** Seconds since 1970 when it was last changed; 0 where the archive does not say. */
  readonly modified: number;
}

/** What one entry is, before its content has been read. */
export interface TarHead {
  readonly path: string;
  readonly size: number;
  readonly modified: number;
}

const READ_BYTES = 1 << 16;
// Texts shrink to a tenth, seldom to a fiftieth; a bomb to a thousandth.
const MOST_TIMES = 200;

/**
 * The files of a tar archive that are wanted, in its order, also of one that is compressed with gzip. Nothing is written.
 * Memory holds one entry.
 *
 * @param wanted says by its head whether a file is read, else its content is passed over
 * @param signal ends the reading
 * @throws HintError NOT_FOUND, IO, INVALID_FILE for what is no archive, is cut off, has a path that leads out of it or a link
 *   in place of a wanted file, LIMIT_EXCEEDED for a file larger than one may be or an archive that unpacks to more than 200
 *   times its size, ABORTED
 */
export async function* readTar(
  file: string,
  wanted: (head: TarHead) => boolean,
  signal?: AbortSignal,
): AsyncGenerator<TarEntry, void, undefined> {
  throwIfAborted(signal);
  const source = openInput(file, { chunkBytes: READ_BYTES, signal });
  const ready: TarEntry[] = [];
  let fault: unknown;
  const refuse = (error: unknown): void => {
    fault ??= error;
  };
  const parser = new Parser({
    strict: true,
    maxDecompressionRatio: MOST_TIMES,
    onReadEntry: (entry) => {
      const head = { path: entry.path, size: entry.size, modified: (entry.mtime?.getTime() ?? 0) / 1000 };
      try {
        checkPath(file, head.path);
        if (fault === undefined && wanted(head)) {
          checkIsFile(file, head.path, entry.type);
          checkBytes(`${file}, entry ${head.path},`, 'it has', head.size);
          const parts: Buffer[] = [];
          entry.on('data', (part: Buffer) => parts.push(part));
          entry.on('end', () => {
            const { path, modified } = head;
            ready.push({ path, bytes: Buffer.concat(parts), modified });
          });
          return;
        }
      } catch (error) {
        refuse(error);
      }
      entry.resume();
    },
  });
  let isOver = false;
  parser.on('error', (cause: Error) => {
    if (!isOver) refuse(notWhole(file, cause.message, cause));
  });
  // Two blocks of zeros end an archive. What follows would gather in the parser, which has to be told to end.
  parser.on('eof', () => {
    isOver = true;
    parser.abort(new Error('The archive has ended.'));
  });
  try {
    // Entries are taken as they come, within `write`, so that the parser never has to be waited for.
    for await (const chunk of source as AsyncIterable<Buffer>) {
      throwIfAborted(signal);
      parser.write(chunk);
      yield* deal(ready, () => fault);
      if (isOver) return;
    }
    parser.end();
    yield* deal(ready, () => fault);
    if (!isOver) throw notWhole(file, 'it has no end');
  } catch (cause) {
    throwIfAborted(signal);
    throw readError(file, cause, 'the archive');
  } finally {
    source.destroy();
  }
}

function* deal(ready: TarEntry[], fault: () => unknown): Generator<TarEntry, void, undefined> {
  for (let entry = ready.shift(); entry; entry = ready.shift()) yield entry;
  if (fault() !== undefined) throw fault();
}

function checkPath(file: string, path: string): void {
  if (!path.startsWith('/') && !/^[A-Za-z]:|\\|\0/.test(path) && !path.split('/').includes('..')) return;
  throw new HintError(
    'INVALID_FILE',
    `${file} has an entry at ${showValue(path)}, which leads out of the archive; take it from where it is published.`,
  );
}

function checkIsFile(file: string, path: string, type: string): void {
  if (['File', 'OldFile', 'ContiguousFile'].includes(type)) return;
  throw new HintError(
    'INVALID_FILE',
    `${file} has at ${showValue(path)} no file but an entry of the kind ${type}, which is not followed; take the archive from where it is published.`,
  );
}

function notWhole(file: string, reason: string, cause?: Error): HintError {
  if (/decompression ratio/.test(reason))
    return new HintError(
      'LIMIT_EXCEEDED',
      `${file} was not read: it unpacks to more than ${MOST_TIMES} times its size, the limit of an archive. If it is what it should be, unpack it and give the folder.`,
      { cause },
    );
  return new HintError('INVALID_FILE', `${file} is no whole tar archive (${reason}); fetch it again.`, {
    cause,
  });
}
