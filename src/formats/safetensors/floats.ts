import { HintError } from '../../util/errors.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { DTYPE_BYTES, isKnownDType } from '../weights/dtypes.js';

// float32 bits of each float16: 256 kB once instead of a branch per element.
let halfBits: Uint32Array | undefined;

function halfTable(): Uint32Array {
  if (halfBits !== undefined) return halfBits;
  const floats = new Float32Array(1 << 16);
  for (let bits = 0; bits < floats.length; bits++) {
    const fraction = bits & 0x3ff;
    const exponent = (bits >> 10) & 0x1f;
    let magnitude = (1 + fraction / 1024) * 2 ** (exponent - 15);
    if (exponent === 0) magnitude = fraction * 2 ** -24;
    if (exponent === 0x1f) magnitude = fraction === 0 ? Infinity : NaN;
    floats[bits] = bits & 0x8000 ? -magnitude : magnitude;
  }
  return (halfBits = new Uint32Array(floats.buffer));
}

/** The element types that weights are read from. */
const FLOATS: ReadonlySet<string> = new Set(['F32', 'F16', 'BF16', 'F64']);

/** `bytes` at an offset that a typed array can view. */
function aligned(bytes: Uint8Array, elementBytes: number): Uint8Array {
  return bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
}

/**
 * Converts a tensor's bytes to float32. F32 bytes are viewed, not copied, where their alignment allows; F64 is rounded,
 * F16 and BF16 are exact.
 *
 * @param what names the tensor in errors
 * @throws HintError NOT_SUPPORTED for an integer dtype, INVALID_SHAPE if the bytes are not a whole number of elements
 */
export function toFloat32(bytes: Uint8Array, dtype: string, what = 'A tensor'): Float32Array {
  if (!FLOATS.has(dtype) || !isKnownDType(dtype)) {
    throw new HintError(
      'NOT_SUPPORTED',
      `${what}, of dtype ${dtype}, holds no floating-point weights that are read; convert it to one of ${[...FLOATS].join(', ')}.`,
    );
  }
  const elementBytes = DTYPE_BYTES[dtype];
  if (bytes.byteLength % elementBytes !== 0) {
    throw new HintError(
      'INVALID_SHAPE',
      `${bytes.byteLength} bytes are no whole number of ${dtype} elements.`,
    );
  }
  const { buffer, byteOffset } = aligned(bytes, elementBytes);
  const length = bytes.byteLength / elementBytes;
  if (dtype === 'F32') return new Float32Array(buffer, byteOffset, length);
  if (dtype === 'F64') return new Float32Array(new Float64Array(buffer, byteOffset, length));
  const halves = new Uint16Array(buffer, byteOffset, length);
  const bits = new Uint32Array(length);
  if (dtype === 'BF16') {
    for (let i = 0; i < length; i++) bits[i] = halves[i]! << 16;
  } else {
    const table = halfTable();
    for (let i = 0; i < length; i++) bits[i] = table[halves[i]!]!;
  }
  return new Float32Array(bits.buffer);
}

// Elements converted without a break: about half a millisecond.
const CONVERT_CHUNK = 1 << 18;

/** {@link toFloat32} for large tensors: the event loop turns in between. */
export async function toFloat32InPieces(
  bytes: Uint8Array,
  dtype: string,
  what?: string,
): Promise<Float32Array> {
  const elementBytes = isKnownDType(dtype) ? DTYPE_BYTES[dtype] : 1;
  if (!FLOATS.has(dtype) || dtype === 'F32' || bytes.byteLength <= CONVERT_CHUNK * elementBytes)
    return toFloat32(bytes, dtype, what);
  const values = new Float32Array(Math.ceil(bytes.byteLength / elementBytes));
  const yielded = createYielder();
  for (let begin = 0; begin < values.length; begin += CONVERT_CHUNK) {
    const piece = bytes.subarray(begin * elementBytes, (begin + CONVERT_CHUNK) * elementBytes);
    values.set(toFloat32(piece, dtype), begin);
    await yielded();
  }
  return values;
}

/** Rounds to the nearest bfloat16, ties to even. */
export function toBfloat16(values: Float32Array): Uint8Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i] as number;
    halves[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(halves.buffer);
}

// bfloat16 bits of each byte, read as a number from -128 to 127, which bfloat16 holds exactly.
let int8Halves: Uint16Array | undefined;

/** Converts I8 bytes to bfloat16, exactly. */
export function int8ToBfloat16(bytes: Uint8Array): Uint8Array {
  int8Halves ??= new Uint16Array(
    toBfloat16(Float32Array.from({ length: 256 }, (_, byte) => (byte << 24) >> 24)).buffer,
  );
  const table = int8Halves;
  const halves = new Uint16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) halves[i] = table[bytes[i] as number] as number;
  return new Uint8Array(halves.buffer);
}

/** Rounds values from -128 to 127 to I8; the event loop turns in between. */
export async function toInt8InPieces(values: Float32Array): Promise<Uint8Array> {
  const bytes = new Int8Array(values.length);
  const yielded = createYielder();
  for (let begin = 0; begin < values.length; begin += CONVERT_CHUNK) {
    const end = Math.min(values.length, begin + CONVERT_CHUNK);
    for (let i = begin; i < end; i++) bytes[i] = Math.round(values[i] as number);
    await yielded();
  }
  return new Uint8Array(bytes.buffer);
}

/** {@link toBfloat16} for large tensors: the event loop turns in between. */
export async function toBfloat16InPieces(values: Float32Array): Promise<Uint8Array> {
  const bytes = new Uint8Array(2 * values.length);
  const yielded = createYielder();
  for (let begin = 0; begin < values.length; begin += CONVERT_CHUNK) {
    bytes.set(toBfloat16(values.subarray(begin, begin + CONVERT_CHUNK)), 2 * begin);
    await yielded();
  }
  return bytes;
}
