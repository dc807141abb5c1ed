/** Bytes per element of the element types that safetensors files name; the wider first, as the format orders tensors. */
export const DTYPE_BYTES = {
  U64: 8,
  I64: 8,
  F64: 8,
  C64: 8,
  F32: 4,
  U32: 4,
  I32: 4,
  BF16: 2,
  F16: 2,
  U16: 2,
  I16: 2,
  F8_E8M0: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** An element type by its safetensors name. */
export type SafetensorsDType = keyof typeof DTYPE_BYTES;

/** Element types by the names that numpy and torch give them. */
export const DTYPE_OF_NAME: Readonly<Record<string, SafetensorsDType>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float64: 'F64',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
  complex64: 'C64',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  float8_e8m0fnu: 'F8_E8M0',
};

/** Whether an element type is one of known size; tensors of others are listed but not read. */
export function isKnownDType(dtype: string): dtype is SafetensorsDType {
  return Object.hasOwn(DTYPE_BYTES, dtype);
}

/** One tensor of a file, without its values. */
export interface TensorInfo {
  /** Its key in the checkpoint. */
  readonly name: string;
  /** By its safetensors name; one that no reader here knows is as the file says it. */
  readonly dtype: string;
  /** Sides of the tensor, outermost first; none for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of its values in the file. */
  readonly byteLength: number;
}

/** Product of a shape's sizes, or undefined if a size is not a whole number ≥ 0 or the product is not exact. */
export function elementCount(shape: readonly unknown[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || (size as number) < 0) return undefined;
    count *= size as number;
  }
  return Number.isSafeInteger(count) ? count : undefined;
}
