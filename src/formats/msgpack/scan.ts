import type { HintError } from '../../util/errors.js';
import { checkBytes, VALUE_BYTES } from '../../util/limits.js';
import { showValue } from '../../util/show-value.js';
import type { ByteFile } from '../weights/byte-file.js';
import { DTYPE_OF_NAME, DTYPE_BYTES, elementCount, type SafetensorsDType } from '../weights/dtypes.js';
import { invalidWeights } from '../weights/weight-file.js';

/** What a msgpack file of Flax holds, with arrays as places in the file. */
export type ScannedValue =
  null | boolean | number | string | ScannedValue[] | ScannedMap | ScannedArray | Skipped;

export type ScannedMap = Map<string, ScannedValue>;

/** Values that no checkpoint is read from: bytes, complex numbers. */
export class Skipped {}

/** An array of numbers whose bytes lie in the file, row by row. */
export class ScannedArray {
  constructor(
    readonly dtype: SafetensorsDType,
    readonly shape: readonly number[],
    readonly position: number,
    readonly byteLength: number,
  ) {}
}

// Flax's codes of extensions: an array, and a number with the type of numpy.
const NDARRAY = 1;
const NUMPY_SCALAR = 3;

const WINDOW_BYTES = 64 * 1024;
const MAX_DEPTH = 64;
const MAX_RANK = 32;

/**
 * Reads the structure of a msgpack file as Flax writes them, without the values of arrays, of which the place is kept: a
 * file may be larger than memory.
 *
 * @throws HintError INVALID_CHECKPOINT, LIMIT_EXCEEDED, IO
 */
export async function scanMsgpack(file: ByteFile): Promise<ScannedValue> {
  const scanner = new Scanner(file);
  const value = await scanner.value(0);
  await scanner.expectEnd();
  return value;
}

class Scanner {
  private position = 0;
  private window: Uint8Array = new Uint8Array(0);
  private windowBegin = 0;
  private values = 0;

  constructor(private readonly file: ByteFile) {}

  private invalid(fault: string, at = this.position): HintError {
    return invalidWeights(this.file.path, 'msgpack file of Flax', `at byte ${at}, ${fault}`);
  }

  private cutOff(end: number): HintError {
    return this.invalid(
      `something goes on to byte ${end} of ${this.file.size}; the file is cut off or damaged, download or copy it again`,
    );
  }

  /** A view of the next `length` bytes, which are passed; at most a window. */
  private async take(length: number): Promise<DataView> {
    const end = this.position + length;
    if (end > this.file.size) throw this.cutOff(end);
    if (this.position < this.windowBegin || end > this.windowBegin + this.window.length) {
      const size = Math.min(WINDOW_BYTES, this.file.size - this.position);
      this.window = await this.file.read(this.position, size);
      this.windowBegin = this.position;
    }
    const begin = this.window.byteOffset + this.position - this.windowBegin;
    this.position = end;
    return new DataView(this.window.buffer, begin, length);
  }

  private skip(length: number): Skipped {
    const end = this.position + length;
    if (end > this.file.size) throw this.cutOff(end);
    this.position = end;
    return new Skipped();
  }

  async expectEnd(): Promise<void> {
    if (this.position !== this.file.size)
      throw this.invalid(`it ends, and ${this.file.size - this.position} bytes follow`);
    return Promise.resolve();
  }

  async value(depth: number): Promise<ScannedValue> {
    if (depth > MAX_DEPTH) throw this.invalid(`it is nested deeper than ${MAX_DEPTH} levels`);
    if ((++this.values & 1023) === 0)
      checkBytes(this.file.path, 'its values take about', this.values * VALUE_BYTES);
    const code = (await this.take(1)).getUint8(0);
    if (code <= 0x7f) return code;
    if (code <= 0x8f) return this.map(code & 0x0f, depth);
    if (code <= 0x9f) return this.list(code & 0x0f, depth);
    if (code <= 0xbf) return this.text(code & 0x1f);
    if (code >= 0xe0) return code - 256;
    switch (code) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.skip(await this.length(code - 0xc4));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.extension(await this.length(code - 0xc7), depth);
      case 0xca:
        return (await this.take(4)).getFloat32(0);
      case 0xcb:
        return (await this.take(8)).getFloat64(0);
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.length(code - 0xcc);
      case 0xcf:
        return Number((await this.take(8)).getBigUint64(0));
      case 0xd0:
        return (await this.take(1)).getInt8(0);
      case 0xd1:
        return (await this.take(2)).getInt16(0);
      case 0xd2:
        return (await this.take(4)).getInt32(0);
      case 0xd3:
        return Number((await this.take(8)).getBigInt64(0));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.extension(1 << (code - 0xd4), depth);
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(await this.length(code - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.list(await this.length(code - 0xdc + 1), depth);
      case 0xde:
      case 0xdf:
        return this.map(await this.length(code - 0xde + 1), depth);
      default:
        throw this.invalid(`it has the code 0x${code.toString(16)}, which msgpack does not use`);
    }
  }

  /** A whole number of 1, 2 or 4 bytes, by the logarithm of that. */
  private async length(width: number): Promise<number> {
    const view = await this.take(1 << width);
    return width === 0 ? view.getUint8(0) : width === 1 ? view.getUint16(0) : view.getUint32(0);
  }

  private async text(length: number): Promise<string> {
    if (length > WINDOW_BYTES)
      throw this.invalid(`it has a text of ${length} bytes, the limit is ${WINDOW_BYTES}`);
    const view = await this.take(length);
    return Buffer.from(view.buffer, view.byteOffset, length).toString('utf8');
  }

  private async list(length: number, depth: number): Promise<ScannedValue[]> {
    const items: ScannedValue[] = [];
    for (let i = 0; i < length; i++) items.push(await this.value(depth + 1));
    return items;
  }

  private async map(length: number, depth: number): Promise<ScannedMap> {
    const entries: ScannedMap = new Map();
    this.values += 4;
    for (let i = 0; i < length; i++) {
      const key = await this.value(depth + 1);
      if (typeof key !== 'string')
        throw this.invalid(`a map has the key ${showValue(key)}, which is no text`);
      if (entries.has(key)) throw this.invalid(`a map has the key ${showValue(key)} twice`);
      entries.set(key, await this.value(depth + 1));
    }
    return entries;
  }

  /** An array, or a number, of numpy: shape, name of the type, bytes. Other extensions are passed over. */
  private async extension(length: number, depth: number): Promise<ScannedValue> {
    const code = (await this.take(1)).getInt8(0);
    const end = this.position + length;
    if (end > this.file.size) throw this.cutOff(end);
    if (code !== NDARRAY && code !== NUMPY_SCALAR) return this.skip(length);
    const begin = this.position;
    if ((await this.take(1)).getUint8(0) !== 0x93)
      throw this.invalid('an array is not written as shape, type and bytes', begin);
    const [shape, type] = [await this.value(depth + 1), await this.value(depth + 1)];
    const dtype =
      typeof type === 'string' && Object.hasOwn(DTYPE_OF_NAME, type) ? DTYPE_OF_NAME[type] : undefined;
    const isShape = Array.isArray(shape) && shape.length <= MAX_RANK;
    const count = isShape ? elementCount(shape) : undefined;
    if (count === undefined) throw this.invalid(`an array has the shape ${showValue(shape)}`, begin);
    const binary = (await this.take(1)).getUint8(0);
    if (binary < 0xc4 || binary > 0xc6) throw this.invalid('an array has no bytes', begin);
    const byteLength = await this.length(binary - 0xc4);
    const { position } = this;
    if (position + byteLength !== end) throw this.invalid('an array does not end where it says', begin);
    this.position = end;
    // Complex numbers and the like: whoever asks for them is told that they are not there.
    if (dtype === undefined) return new Skipped();
    if (count * DTYPE_BYTES[dtype] !== byteLength)
      throw this.invalid(
        `an array of shape ${showValue(shape)} and type ${showValue(type)} has ${byteLength} bytes`,
        begin,
      );
    return new ScannedArray(dtype, shape as number[], position, byteLength);
  }
}
