import { constants } from 'node:fs';
import { open, realpath, type FileHandle } from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { HintError } from './errors.js';
import { limits, SECONDS_VARIABLE } from './limits.js';

// Without O_NONBLOCK a pipe that nobody writes to, or writes nothing to, holds a thread of the process, past Ctrl-C.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const WRITER_POLL_MILLISECONDS = 20;
const EMPTY_PIPE_MILLISECONDS = 1;

/** How an input is read. */
export interface OpenInputOptions {
  /** Byte of a regular file to begin at. */
  readonly start?: number;
  /** Bytes that are read at a time. */
  readonly chunkBytes: number;
  /** Ends the wait for a pipe or a terminal. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a regular file, whose bytes can be read in any order.
 *
 * @throws HintError INVALID_FILE for a pipe, a socket or a device; the system's error, which `readError` tells. A folder is
 *   opened, and refused by the first read
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
  const handle = await open(path, FLAGS);
  const status = await handle.stat();
  if (status.isFile() || status.isDirectory()) return handle;
  await handle.close();
  throw new HintError(
    'INVALID_FILE',
    `${path} is no regular file but a pipe or a device; copy what it gives into a file, and give that.`,
  );
}

/**
 * What is read from its beginning to its end: a regular file, a pipe, a terminal or another device. Waiting for the last three
 * ends when the stream is destroyed or the signal aborted.
 *
 * Errors of the stream: HintError LIMIT_EXCEEDED for a named pipe that nobody opens to write within the limit's seconds; the
 * system's error, which `readError` tells; an AbortError
 */
export function openInput(path: string, { signal, ...options }: OpenInputOptions): Readable {
  const input = new Input(path, options);
  if (signal) addAbortSignal(signal, input);
  return input;
}

class Input extends Readable {
  private handle: FileHandle | undefined;
  private reading: Promise<void> = Promise.resolve();
  private position: number | null = null;
  /** Until when a named pipe may have no writer; undefined when it has had one, and for everything else. */
  private writerUntil: number | undefined;

  constructor(
    private readonly path: string,
    private readonly options: Omit<OpenInputOptions, 'signal'>,
  ) {
    super({ highWaterMark: options.chunkBytes });
  }

  override _construct(done: (error?: Error | null) => void): void {
    this.open().then(() => done(), done);
  }

  override _read(): void {
    this.reading = this.next().then(
      (chunk) => void this.push(chunk),
      (error: unknown) => void this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // No read waits inside the system, so that this comes at once.
    this.reading
      .then(() => this.handle?.close())
      .then(
        () => done(error),
        (cause: unknown) => done(error ?? (cause as Error)),
      );
  }

  private async open(): Promise<void> {
    this.handle = await open(this.path, FLAGS);
    const status = await this.handle.stat();
    if (status.isFile()) this.position = this.options.start ?? 0;
    // An unnamed pipe, such as that of a shell, has had its writer: at its end it is empty.
    if (status.isFIFO() && (await isNamed(this.path)))
      this.writerUntil = performance.now() + 1000 * limits().seconds;
  }

  /** What comes next; null at the end, and when the stream was destroyed meanwhile. */
  private async next(): Promise<Buffer | null> {
    const chunk = Buffer.allocUnsafeSlow(this.options.chunkBytes);
    while (!this.destroyed) {
      const bytes = await this.readInto(chunk);
      if (bytes === undefined) {
        this.writerUntil = undefined;
        await sleep(EMPTY_PIPE_MILLISECONDS);
      } else if (bytes > 0) {
        this.writerUntil = undefined;
        if (this.position !== null) this.position += bytes;
        return chunk.subarray(0, bytes);
      } else if (this.writerUntil === undefined) return null;
      else if (performance.now() > this.writerUntil) throw withoutWriter(this.path);
      else await sleep(WRITER_POLL_MILLISECONDS);
    }
    return null;
  }

  /** @returns how many bytes have come; undefined where none has yet, but may */
  private async readInto(chunk: Buffer): Promise<number | undefined> {
    try {
      return (await (this.handle as FileHandle).read(chunk, 0, chunk.length, this.position)).bytesRead;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
      throw cause;
    }
  }
}

function withoutWriter(path: string): HintError {
  return new HintError(
    'LIMIT_EXCEEDED',
    `${path} is a pipe that nobody has opened to write for ${limits().seconds} s, the limit of time a file or record; start what writes to it first, set ${SECONDS_VARIABLE} to more, or name a file.`,
  );
}

async function isNamed(path: string): Promise<boolean> {
  return realpath(path).then(
    () => true,
    () => false,
  );
}
