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

/** Whether an element type is one of known size; tensors of others are listed but not read. */
export function isKnownDType(dtype: string): dtype is SafetensorsDType {
  return Object.hasOwn(DTYPE_BYTES, dtype);
}

/** One tensor of a file, without its values. */
export interface TensorInfo {
  readonly name: string;
  /** By its safetensors name; one that no reader here knows is as the file says it. */
  readonly dtype: string;
  readonly shape: readonly number[];
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
