import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  DType,
  NativeCall,
  NativeDevice,
  NativeFile,
  NativeModule,
  NativeProgram,
  NativeTensor,
  OpSpec,
  TypedArray,
} from '../../../src/tensor/native.js';
import { TRAP } from './judge.js';
import type { Random } from './random.js';

export interface Made {
  handle: NativeTensor;
  shape: number[];
  dtype: DType;
}

/** An op that waits for its backward pass. */
export interface Saved {
  call: NativeCall;
  spec: OpSpec;
  inputs: (Made | null)[];
  outputs: (Made | null)[];
}

const LIMIT = 48 << 20;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** The objects of one episode: two devices and a closed one, tensors in every state, and handles of every kind. */
export class World {
  device: NativeDevice;
  foreign: NativeDevice;
  readonly closed: NativeDevice;
  /** Results of ops, which later calls use. */
  results: Made[] = [];
  saved: Saved[] = [];
  programs: NativeProgram[] = [];
  isRecording = false;
  readonly descriptor: number;
  readonly file: NativeFile;
  private readonly folder = mkdtempSync(join(tmpdir(), 'misuse-'));

  constructor(
    readonly native: NativeModule,
    readonly random: Random,
  ) {
    this.device = this.open();
    this.foreign = this.open();
    this.closed = this.open();
    native.closeDevice(this.closed);
    const path = join(this.folder, 'values');
    writeFileSync(path, new Uint8Array(4096));
    this.descriptor = openSync(path, 'r');
    this.file = native.mapFile(this.descriptor) as NativeFile;
  }

  open(): NativeDevice {
    return this.native.createDevice(2, LIMIT, 'cpu', 0);
  }

  /** Closes the device and opens a new one, on which tensors of the old one are invalid. */
  replaceDevice(): void {
    this.native.closeDevice(this.device);
    this.renew();
  }

  private renew(): void {
    this.device = this.open();
    this.isRecording = false;
    this.results = [];
  }

  /** Devices that a call happened to close are replaced. */
  heal(): void {
    if (!this.isOpen(this.device)) this.renew();
    if (!this.isOpen(this.foreign)) this.foreign = this.open();
  }

  private isOpen(device: NativeDevice): boolean {
    try {
      this.native.statistics(device);
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    for (const device of [this.device, this.foreign]) this.native.closeDevice(device);
    closeSync(this.descriptor);
    rmSync(this.folder, { recursive: true });
  }

  /** A small number, sometimes NaN or infinite. */
  private number(): number {
    if (this.random.chance(0.001)) return this.random.pick([NaN, Infinity, -Infinity, 1e38, -1e-40]);
    return this.random.next() * 2 - 1;
  }

  /** An integer that is usually a valid index. */
  private integer(): number {
    return this.random.chance(0.002)
      ? this.random.pick([-1, 7, 1000, 2 ** 31 - 1, -(2 ** 31)])
      : this.random.below(2) * this.random.below(2);
  }

  data(dtype: DType, size: number): TypedArray {
    if (dtype === 'f32') return Float32Array.from({ length: size }, () => this.number());
    // Half of the integers are zero, so that positions and flags of one element are usually valid.
    if (dtype === 'i32') return Int32Array.from({ length: size }, () => this.integer());
    if (dtype === 'i8') return Int8Array.from({ length: size }, () => this.random.below(256) - 128);
    const words = new Uint32Array(Float32Array.from({ length: size }, () => this.number()).buffer);
    return Uint16Array.from(words, (word) => word >>> 16);
  }

  /** Written, as all are that the device has memory for. */
  tensor(shape: readonly number[], dtype: DType, device = this.device): Made {
    const size = sizeOf(shape);
    const handle = this.native.createTensor(
      device,
      dtype,
      shape,
      size > LIMIT ? null : this.data(dtype, size),
    );
    return { handle, shape: [...shape], dtype };
  }

  /** A tensor that no op can use here. */
  badTensor(shape: readonly number[], dtype: DType): Made {
    const kind = this.random.below(3);
    if (kind === 0) return this.tensor(shape, dtype, this.foreign);
    const made = {
      handle: this.native.createTensor(this.device, dtype, shape, null),
      shape: [...shape],
      dtype,
    };
    if (kind === 1) this.native.releaseTensor(made.handle);
    return made;
  }

  shape(): number[] {
    return Array.from({ length: this.random.below(4) }, () => this.random.pick([0, 1, 1, 2, 3, 4, 8, 17]));
  }

  dtype(): DType {
    return this.random.pick(['f32', 'f32', 'bf16', 'i32', 'i8'] as const);
  }

  /** Reads what was just enqueued, so that one knows whether it ran. */
  proofOf(made: Made): Promise<unknown> | undefined {
    return this.isRecording ? undefined : this.native.readTensor(this.device, made.handle);
  }

  /** An argument that hardly any function expects. */
  oddity(): unknown {
    const { random } = this;
    const close = (): number => {
      this.replaceDevice();
      return 1;
    };
    return random.pick<() => unknown>([
      () => random.pick([undefined, null, true, '', 'x'.repeat(random.below(1000)), 10n, Symbol('odd')]),
      () =>
        random.pick([
          NaN,
          Infinity,
          -1,
          0.5,
          -0,
          1e308,
          2 ** 31,
          2 ** 32,
          2 ** 52 + 0.5,
          2 ** 53,
          -(2 ** 63),
        ]),
      () => ({}),
      () => [],
      () => (): number => 0,
      () =>
        random.pick([
          [1e9, 1e9],
          [2 ** 32, 2 ** 32],
          [2 ** 53, 0],
          [-1],
          [0.5],
          [NaN],
          ['2'],
          new Array(100).fill(1),
        ]),
      () => ({ valueOf: close, toString: close, [Symbol.toPrimitive]: close }),
      () => Object.defineProperty([1, 1], 0, { get: close }),
      () =>
        Object.defineProperty([1], 0, {
          get: () => {
            throw TRAP;
          },
        }),
      () => new Proxy([1, 1], { get: (target, key) => (key === '0' ? close() : Reflect.get(target, key)) }),
      () => new Float32Array(new SharedArrayBuffer(64)),
      () => new Int32Array(random.below(20)),
      () => detached(),
      () => shrunk(),
      () => new DataView(new ArrayBuffer(16)),
      () => random.pick([this.device, this.foreign, this.closed, this.file]),
      () => random.pick([...this.programs, ...this.saved.map(({ call }) => call), this.file]),
      () => this.badTensor([1], 'f32').handle,
      () => this.tensor(this.shape(), this.dtype()).handle,
    ])();
  }
}

/** A typed array whose memory has gone to somebody else. */
function detached(): Float32Array {
  const array = new Float32Array(16);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

/** A typed array that reaches beyond what is left of its memory. */
function shrunk(): Float32Array {
  type Resizable = ArrayBuffer & { resize(bytes: number): void };
  const Buffer = ArrayBuffer as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => Resizable;
  const buffer = new Buffer(64, { maxByteLength: 64 });
  const array = new Float32Array(buffer, 0, 16);
  buffer.resize(8);
  return array;
}
