import { constants, write } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { throwIfAborted } from './errors.js';

// A write call occupies a thread of libuv's pool until it ends. Larger pieces are no faster and delay other files.
const WRITE_CHUNK_BYTES = 16 * 1024 * 1024;
const READER_WAIT_MILLISECONDS = 10_000;
const READER_POLL_MILLISECONDS = 20;
const FULL_PIPE_MILLISECONDS = 1;

const writeToDescriptor = promisify(write);

/** A destination: an opened file, or a descriptor that other code has opened. */
export type Sink = FileHandle | number;

/** Writes all of `bytes` in order; waits while a pipe is full. */
export async function writeFully(sink: Sink, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
  for (let start = 0; start < bytes.byteLength;) {
    const length = Math.min(WRITE_CHUNK_BYTES, bytes.byteLength - start);
    try {
      const { bytesWritten } = await (typeof sink === 'number'
        ? writeToDescriptor(sink, bytes, start, length, null)
        : sink.write(bytes, start, length));
      start += bytesWritten;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN') throw cause;
      throwIfAborted(signal);
      await sleep(FULL_PIPE_MILLISECONDS);
    }
  }
}

/**
 * Opens a device or pipe and passes it to `use`. A pipe without a reader is tried again for ten seconds; a blocking
 * open would wait inside the system, where neither an abort nor the end of the process can end it.
 *
 * @throws the system's error (ENXIO: nobody reads), ABORTED
 */
export async function withStream(
  target: { readonly path: string; readonly isPipe: boolean },
  signal: AbortSignal | undefined,
  use: (sink: Sink) => Promise<void>,
): Promise<void> {
  await using file = await openForReader(target, signal);
  await use(file);
}

async function openForReader(
  { path, isPipe }: { readonly path: string; readonly isPipe: boolean },
  signal: AbortSignal | undefined,
): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  const until = performance.now() + READER_WAIT_MILLISECONDS;
  for (;;) {
    throwIfAborted(signal);
    try {
      return await open(path, flags);
    } catch (cause) {
      const hasNoReader = isPipe && (cause as NodeJS.ErrnoException).code === 'ENXIO';
      if (!hasNoReader || performance.now() > until) throw cause;
    }
    await sleep(READER_POLL_MILLISECONDS);
  }
}
