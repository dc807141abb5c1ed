import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** Options of {@link gunzip}. */
export interface GunzipOptions {
  /** Bytes per chunk of the output. */
  chunkSize?: number;
  /** Called once for each run of zeros between two members. Other programs stop there. */
  onPadding?: ((bytes: number) => void) | undefined;
}

/**
 * Unpacks a stream of gzip members, with zeros between or behind them (padding to whole blocks). zlib's own stream ends at
 * the first of these zeros, as if nothing came after them.
 *
 * @param source is destroyed when the iteration ends, however it does
 * @throws what the source throws; zlib's errors (`Z_…`) for what is damaged, cut off, or no gzip
 */
export async function* gunzip(
  source: Readable,
  { chunkSize = 2 ** 16, onPadding }: GunzipOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const input = new Input(source[Symbol.asyncIterator]() as AsyncIterator<Buffer>);
  try {
    do {
      yield* unpackMembers(input, chunkSize);
      const zeros = await input.skipZeros();
      if (zeros > 0 && !(await input.isAtEnd())) onPadding?.(zeros);
    } while (!(await input.isAtEnd()));
  } finally {
    source.destroy();
  }
}

/** Members that follow one another without zeros between them. */
async function* unpackMembers(input: Input, chunkSize: number): AsyncGenerator<Buffer, void, undefined> {
  const unpacker = createGunzip({ chunkSize });
  const fed = feed(input, unpacker);
  // It is awaited below; until then a failure must not count as unhandled.
  fed.catch(() => undefined);
  try {
    for await (const chunk of unpacker) yield chunk as Buffer;
    await fed;
  } finally {
    unpacker.destroy();
  }
}

/** Writes the input until it or the unpacker ends. What the unpacker did not take stays in the input. */
async function feed(input: Input, unpacker: ReturnType<typeof createGunzip>): Promise<void> {
  let given = 0;
  try {
    for (let chunk = await input.next(); chunk; chunk = await input.next()) {
      given += chunk.length;
      await new Promise<void>((resolve) => unpacker.write(chunk, () => resolve()));
      // The number of consumed input bytes, which Node.js calls bytesWritten.
      const left = given - unpacker.bytesWritten;
      if (unpacker.destroyed && left === 0) return;
      if (left > 0) return input.giveBack(chunk.subarray(chunk.length - left));
    }
    unpacker.end();
  } catch (error) {
    unpacker.destroy(error as Error);
  }
}

/** Chunks of a stream; the unread part of a chunk can be put back. */
class Input {
  private left: Buffer | undefined;
  private ended = false;

  constructor(private readonly chunks: AsyncIterator<Buffer>) {}

  async next(): Promise<Buffer | undefined> {
    const chunk = this.left;
    this.left = undefined;
    if (chunk || this.ended) return chunk;
    const { value, done } = await this.chunks.next();
    if (done) this.ended = true;
    return done ? undefined : value;
  }

  giveBack(bytes: Buffer): void {
    if (bytes.length > 0) this.left = bytes;
  }

  /** Passes over zeros. @returns how many there were */
  async skipZeros(): Promise<number> {
    let zeros = 0;
    for (let chunk = await this.next(); chunk; chunk = await this.next()) {
      const first = chunk.findIndex((byte) => byte !== 0);
      if (first >= 0) {
        this.giveBack(chunk.subarray(first));
        return zeros + first;
      }
      zeros += chunk.length;
    }
    return zeros;
  }

  async isAtEnd(): Promise<boolean> {
    const chunk = await this.next();
    if (chunk) this.giveBack(chunk);
    return chunk === undefined;
  }
}
