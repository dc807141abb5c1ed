import { createHash, type Hash } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { ioError, makeFolder } from '../../util/write-error.js';
import type { HubCache } from './cache.js';
import { hubFetch, refusal, stallWatch, Unavailable, withRetries, type HubAccess } from './http.js';
import type { HubFile } from './repository.js';

const PIECE_BYTES = 1 << 20;

/**
 * Brings one file into the cache. Bytes go to DIGEST.incomplete, where a later attempt, of this process or another, goes on;
 * the file gets its name when its checksum is right. Two processes may do so at once: both write the same bytes to the
 * same places.
 *
 * @param progressed is told of every piece, those that were there before included
 * @throws HintError IO, NOT_FOUND, INVALID_FILE (the checksum differs), ABORTED
 */
export async function downloadFile(
  access: HubAccess,
  cache: HubCache,
  source: { name: string; commit: string; file: HubFile },
  progressed: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { name, commit, file } = source;
  const what = `${name}/${file.path}`;
  const path = file.path.split('/').map(encodeURIComponent).join('/');
  const address = `${access.endpoint}/${name}/resolve/${commit}/${path}`;
  const blob = cache.blob(file);
  const partial = cache.partOf(file);
  await makeFolder(dirname(blob));
  const handle = await open(partial, 'a+')
    .then((made) => made.close())
    .then(() => open(partial, 'r+'))
    .catch((cause: unknown) => {
      throw ioError('write', partial, cause);
    });
  try {
    const hash = startHash(file);
    let position = await hashPart(handle, hash.value, file, progressed, signal);
    let furthest = position;
    await withRetries(
      access,
      what,
      async (cameFurther) => {
        if (position === file.size) return;
        const watch = stallWatch(access, signal);
        try {
          const response = await hubFetch(access, address, {
            signal: watch.signal,
            // Bytes as they are stored: ranges and checksums are of those.
            headers: { 'accept-encoding': 'identity', ...(position > 0 && { range: `bytes=${position}-` }) },
          });
          if (!response.ok || !response.body) throw await refusal(access, what, response);
          if (position > 0 && startOf(response) !== position) {
            // A server without ranges begins anew.
            position = 0;
            hash.restart();
            if (startOf(response) !== 0)
              throw new Unavailable('the server answers with another range than was asked for');
          }
          for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
            watch.alive();
            if (position + piece.length > file.size) throw wrong(what, `it has more than ${file.size} bytes`);
            await writeAt(handle, partial, piece, position);
            hash.value.update(piece);
            position += piece.length;
            progressed(piece.length);
            // A server without ranges that is cut off at the same place each time comes no further.
            if (position > furthest) {
              furthest = position;
              cameFurther();
            }
          }
        } finally {
          watch.stop();
        }
        if (position < file.size)
          throw new Unavailable(`the connection ended after ${position} of ${file.size} bytes`);
      },
      signal,
    );
    const digest = hash.value.digest('hex');
    if (digest !== file.digest)
      throw wrong(what, `its checksum is ${digest} where ${file.digest} was announced`);
    await handle
      .truncate(file.size)
      .then(() => handle.sync())
      .catch((cause: unknown) => {
        throw ioError('write', partial, cause);
      });
  } catch (error) {
    if (error instanceof HintError && error.code === 'INVALID_FILE') await rm(partial, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  try {
    await rename(partial, blob);
  } catch (cause) {
    // Another process may have given it its name first.
    if (!(await cache.has(file))) throw ioError('write', blob, cause);
  }
}

function startHash({ size, digest }: HubFile): { value: Hash; restart: () => void } {
  const start = (): Hash => {
    if (digest.length === 64) return createHash('sha256');
    // Git's blob: a header before the content.
    return createHash('sha1').update(`blob ${size}\0`);
  };
  const hash = { value: start(), restart: () => void (hash.value = start()) };
  return hash;
}

/** Takes what an earlier attempt has left into the checksum; how much that is. */
async function hashPart(
  handle: FileHandle,
  hash: Hash,
  file: HubFile,
  progressed: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { size } = await handle.stat();
  if (size > file.size) return 0;
  const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, Math.max(size, 1)));
  let position = 0;
  while (position < size) {
    throwIfAborted(signal);
    const { bytesRead } = await handle
      .read(piece, 0, Math.min(piece.length, size - position), position)
      .catch((cause: unknown) => {
        throw ioError('read', `what was downloaded of ${file.path}`, cause);
      });
    if (bytesRead === 0) break;
    hash.update(piece.subarray(0, bytesRead));
    position += bytesRead;
    progressed(bytesRead);
  }
  return position;
}

function startOf(response: Response): number {
  if (response.status !== 206) return 0;
  const [, start] = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '') ?? [];
  return start === undefined ? -1 : Number(start);
}

async function writeAt(handle: FileHandle, path: string, piece: Uint8Array, position: number): Promise<void> {
  try {
    for (let done = 0; done < piece.length;)
      done += (await handle.write(piece, done, piece.length - done, position + done)).bytesWritten;
  } catch (cause) {
    throw ioError('write', path, cause);
  }
}

function wrong(what: string, found: string): HintError {
  return new HintError(
    'INVALID_FILE',
    `${what} did not come as the hub has it: ${found}. What came was removed; try again, and check HF_ENDPOINT if it stays so.`,
  );
}
