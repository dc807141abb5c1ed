import type { FileHandle } from 'node:fs/promises';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { openRegularFile } from '../../util/open-input.js';
import { readError } from '../../util/read-error.js';

// One read call holds a thread of libuv's pool until it is done; this is also how often an abort is noticed.
const READ_CHUNK_BYTES = 16 * 1024 * 1024;

// Small enough for a piece to be still in the cache when it is copied on.
const PIECE_BYTES = 2 * 1024 * 1024;

/**
 * Memory for what a file holds, not zero-filled: every byte is overwritten, or the reading fails.
 * @throws HintError OUT_OF_MEMORY
 */
export function allocate(length: number, path: string): Buffer {
  try {
    return Buffer.allocUnsafeSlow(length);
  } catch (cause) {
    throw new HintError(
      'OUT_OF_MEMORY',
      `${path} holds a tensor of ${length} bytes, for which there is no memory; use a smaller model, or a larger machine.`,
      { cause },
    );
  }
}

/** Ranges of a file that is open for reading. */
export class ByteFile {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    /** In bytes, when it was opened. */
    readonly size: number,
    private readonly truncated: (fault: string) => HintError,
  ) {}

  /**
   * @param truncated the error for a file that ends too early, given that as half a sentence
   * @throws HintError NOT_FOUND, IO
   */
  static async open(path: string, truncated: (fault: string) => HintError): Promise<ByteFile> {
    try {
      const handle = await openRegularFile(path);
      try {
        return new ByteFile(path, handle, (await handle.stat()).size, truncated);
      } catch (error) {
        await handle.close();
        throw error;
      }
    } catch (cause) {
      throw readError(path, cause);
    }
  }

  get descriptor(): number {
    return this.handle.fd;
  }

  /** Fills `bytes` from `position` on. @throws HintError IO, ABORTED, what `truncated` gives */
  async readInto(bytes: Uint8Array, position: number, signal?: AbortSignal): Promise<void> {
    const { length } = bytes;
    for (let start = 0; start < length;) {
      throwIfAborted(signal);
      const size = Math.min(READ_CHUNK_BYTES, length - start);
      const { bytesRead } = await this.handle
        .read(bytes, start, size, position + start)
        .catch((cause: unknown) => {
          throw readError(this.path, cause);
        });
      if (bytesRead === 0)
        throw this.truncated(`it ends at byte ${position + start}, ${length - start} bytes too early`);
      start += bytesRead;
    }
  }

  /** The bytes from `position` on, in a buffer of their own. @throws as {@link readInto}, OUT_OF_MEMORY */
  async read(position: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = allocate(length, this.path);
    await this.readInto(bytes, position, signal);
    return bytes;
  }

  /** The bytes of [begin, end) in pieces of up to 2 MiB, each valid until the next but one. @throws as {@link readInto} */
  async *pieces(
    begin: number,
    end: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const size = Math.min(PIECE_BYTES, end - begin);
    const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)];
    const readAt = (position: number, buffer: number): { bytes: Uint8Array; done: Promise<void> } => {
      const bytes = (buffers[buffer] as Buffer).subarray(0, Math.min(size, end - position));
      const done = this.readInto(bytes, position, signal);
      // Who stops early waits for it below, but not for what it says.
      done.catch(() => undefined);
      return { bytes, done };
    };
    let next = begin < end ? readAt(begin, 0) : undefined;
    try {
      for (let position = begin, buffer = 1; next; buffer = 1 - buffer) {
        const { bytes, done }: { bytes: Uint8Array; done: Promise<void> } = next;
        await done;
        position += bytes.length;
        next = position < end ? readAt(position, buffer) : undefined;
        yield bytes;
      }
    } finally {
      await next?.done.catch(() => undefined);
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
