import type { HintError } from '../../util/errors.js';
import { invalidWeights } from '../weights/weight-file.js';

/** The pickle goes on behind the bytes that were given. */
export class EndOfPickle extends Error {}

/** Reads what the instructions of a pickle have behind them: numbers and texts, from one end to the other. */
export class PickleReader {
  /**
   * @param path names the file in errors
   * @param position where the pickle begins in the bytes, and then where reading has come
   */
  constructor(
    protected readonly path: string,
    protected readonly bytes: Uint8Array,
    protected position = 0,
  ) {}

  /** The start of the next `length` bytes, which are passed. */
  take(length: number): number {
    const begin = this.position;
    if (length > this.bytes.length - begin) throw new EndOfPickle();
    this.position += length;
    return begin;
  }

  unsigned(width: 1 | 2 | 4 | 8): number {
    const begin = this.take(width);
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + (this.bytes[begin + i] as number);
    return value;
  }

  integer(width: number): number | bigint {
    if (width > 16) throw this.damaged(this.position, `it has a whole number of ${width} bytes`);
    const begin = this.take(width);
    let value = 0n;
    for (let i = width - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[begin + i] as number);
    value = BigInt.asIntN(8 * width, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  double(): number {
    const begin = this.take(8);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + begin, 8).getFloat64(0, false);
  }

  text(length: number, encoding: 'utf8' | 'latin1' = 'utf8'): string {
    const begin = this.take(length);
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + begin, length).toString(encoding);
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.position);
    if (end < 0) throw new EndOfPickle();
    const text = this.text(end - this.position);
    this.take(1);
    return text;
  }

  damaged(at: number, fault: string): HintError {
    return invalidWeights(this.path, 'file of PyTorch', `at byte ${at} of its pickle, ${fault}`);
  }
}
