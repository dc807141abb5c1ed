import { createHash } from 'node:crypto';
import { throwIfAborted } from './errors.js';
import { openRegularFile } from './open-input.js';
import { createYielder } from './event-loop-lag.js';
import { readError } from './read-error.js';

// Bytes hashed without a break, in about one slice of the event loop.
const HASH_BYTES = 1 << 20;

/** Size and SHA-256 of a file, the event loop free in between. @throws HintError IO, ABORTED */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
): Promise<{ bytes: number; sha256: string }> {
  try {
    await using file = await openRegularFile(path);
    const breathe = createYielder();
    const hash = createHash('sha256');
    const piece = Buffer.allocUnsafe(HASH_BYTES);
    for (let bytes = 0; ;) {
      throwIfAborted(signal);
      const { bytesRead } = await file.read(piece, 0, piece.length, bytes);
      if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') };
      hash.update(piece.subarray(0, bytesRead));
      bytes += bytesRead;
      await breathe();
    }
  } catch (cause) {
    throw readError(path, cause);
  }
}
