import type { SafetensorsDType } from '../weights/dtypes.js';

/** What a pickle of tensors is made of; plain JavaScript values stand for None, booleans, numbers, texts, lists and tuples. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | PickleDict
  | GlobalName
  | StorageClass
  | DTypeName
  | Storage
  | TensorView;

/** A dict or OrderedDict. */
export class PickleDict {
  readonly entries = new Map<string | number | boolean | null | bigint, PickleValue>();
}

/** One of the functions and classes that a pickle of tensors may name; it is looked up, never run. */
export class GlobalName {
  constructor(readonly name: string) {}
}

/** `torch.FloatStorage` and the like. */
export class StorageClass {
  constructor(
    readonly name: string,
    /** Undefined: bytes whose meaning the tensor says. */
    readonly dtype: SafetensorsDType | undefined,
  ) {}
}

/** `torch.float32` and the like. */
export class DTypeName {
  constructor(readonly dtype: SafetensorsDType) {}
}

/** Elements that lie together in the file under a key. */
export class Storage {
  constructor(
    readonly key: string,
    readonly dtype: SafetensorsDType | undefined,
    /** Elements of the dtype; bytes where there is none. */
    readonly count: number,
    /** First element of the key's storage that belongs to it, as files before torch 0.4 have views. */
    readonly begin = 0,
  ) {}
}

/** A tensor: a view of a storage. */
export class TensorView {
  constructor(
    readonly storage: Storage,
    readonly dtype: SafetensorsDType,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}
