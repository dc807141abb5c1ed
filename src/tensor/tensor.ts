import { HintError } from '../util/errors.js';
import {
  asHintError,
  guarded,
  native,
  type AttributeValue,
  type DType,
  type NativeCall,
  type NativeDevice,
  type NativeTensor,
  type OpSpec,
} from './native.js';
import { describeShape, elementCount, kindOf, shapeOf, wholeNumber } from './shape.js';

let nextId = 1;

/** Bytes of an element. */
export const ELEMENT_BYTES: Readonly<Record<DType, number>> = { f32: 4, i32: 4, bf16: 2, i8: 1 };

/**
 * Handles of disposed tensors, to be used again: the garbage collector has to look at every handle that was ever made, and
 * a step of many ops would leave it thousands.
 */
export const spareHandles: NativeTensor[] = [];
/** Those of calls that were walked backwards or released. */
const spareCalls: NativeCall[] = [];
const MOST_SPARES = 1 << 14;

/** Lets the garbage collector have the spare handles: those of a device that closes are more than any other needs. */
export function dropSpares(): void {
  spareHandles.length = 0;
  spareCalls.length = 0;
}

/** Where the next call is saved: in a handle that nobody uses any more, or, `true`, in one of its own. */
export function takeSpareCall(): NativeCall | true {
  return spareCalls.pop() ?? true;
}

/** Has the handle of a call that is gone used again; whoever gives it forgets it. */
export function giveSpareCall(call: NativeCall): void {
  if (spareCalls.length < MOST_SPARES) spareCalls.push(call);
}

/** Takes away what a native call has used of the spare handles. Setting the length would cost more than the call. */
export function useSpares(count: number): void {
  for (let used = 0; used < count; used++) spareHandles.pop();
}

/** A tensor that an op will write, of a shape that another has. */
export function blankHandle(device: NativeDevice, shape: readonly number[], dtype: DType): NativeTensor {
  const blank = guarded(() => native().createTensor(device, dtype, shape, null, spareHandles.at(-1)));
  useSpares(1);
  return blank;
}

/** A window of another tensor's elements. */
export function viewHandle(handle: NativeTensor, offset: number, shape: readonly number[]): NativeTensor {
  const view = guarded(() => native().viewTensor(handle, offset, shape, spareHandles.at(-1)));
  useSpares(1);
  return view;
}

/**
 * The tensor that a caller gave.
 *
 * @throws HintError INVALID_ARGUMENT naming the argument when it is none
 */
export function tensorOf(value: unknown, name: string): Tensor {
  if (value instanceof Tensor) return value;
  throw new HintError('INVALID_ARGUMENT', `${name} must be a Tensor, not ${kindOf(value)}.`);
}

/** What a device tells of the ops that it enqueues: a tape. */
export interface Recorder {
  /** Whether an op on these inputs is to be recorded. */
  wants(spec: OpSpec, inputs: (Tensor | null | undefined)[]): boolean;
  /** Called by the device for every enqueued op that the recorder {@link wants}. */
  record(
    spec: OpSpec,
    inputs: (Tensor | null | undefined)[],
    outputs: (Tensor | null)[],
    call: NativeCall,
  ): void;
  /** Runs `body` without keeping its intermediate values, and again when its gradient is needed. */
  recompute(inputs: Tensor[], body: (...inputs: Tensor[]) => Tensor[]): Tensor[];
}

/**
 * What those who have only a tensor ask of its device; its methods are described there. Declared here because the device
 * makes tensors: a tensor that named its class would import what imports it.
 */
export interface TensorDevice {
  readonly handle: NativeDevice;
  /** What records ops now, if anything. */
  readonly tape: Recorder | undefined;
  tensor(data: Float32Array | Int32Array | null, shape: readonly number[], dtype?: DType): Tensor;
  full(shape: readonly number[], value: number): Tensor;
  apply(
    name: string,
    inputs: (Tensor | null | undefined)[],
    attributes?: Record<string, AttributeValue | undefined>,
  ): (Tensor | null)[];
  assign(destination: Tensor, source: Tensor): void;
  tidy<T>(body: () => T): T;
  adopt(tensor: Tensor): Tensor;
  keep<T extends Tensor>(tensor: T): T;
}

/**
 * A dense row-major array on a device. Its values exist once the ops enqueued before have run. One that nobody disposed
 * still gives its memory back, only later: when the garbage collector finds its handle.
 */
export class Tensor {
  /** Identity for gradients: aliases made for recomputation share it. */
  id = nextId++;
  /** Whether ops on it are recorded so that it receives a gradient. */
  requiresGrad = false;
  /** Called when an op that changes its values in place was enqueued: what was made from them is out of date. */
  onChange: (() => void) | undefined;
  /** For views, and copies in another dtype: the tensor whose gradient holds this one's, and where in it. */
  base: { tensor: Tensor; offset: number } | undefined;
  private native: NativeTensor | undefined;

  constructor(
    /** On whose stream everything that reads or writes it runs. */
    readonly device: TensorDevice,
    handle: NativeTensor,
    /** Sides, outermost first; none for a scalar. */
    readonly shape: readonly number[],
    /** What its values are stored as. */
    readonly dtype: DType,
  ) {
    this.native = handle;
  }

  /**
   * For native calls alone.
   *
   * @throws HintError INVALID_ARGUMENT after it was disposed
   */
  get handle(): NativeTensor {
    if (!this.native) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `A tensor of shape ${describeShape(this.shape)} was used after it was disposed.`,
      );
    }
    return this.native;
  }

  /** Whether its memory was given back, or will be when the commands that use it have run. */
  get disposed(): boolean {
    return this.native === undefined;
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  /** Of all its elements. */
  get bytes(): number {
    return this.size * ELEMENT_BYTES[this.dtype];
  }

  /** The same memory under another shape of the same size. Gradients flow to this tensor. */
  reshape(shape: readonly number[]): Tensor {
    return this.window(0, shapeOf(shape));
  }

  /** Rows [begin, end) of the first axis, without a copy. Gradients flow to this tensor. */
  narrow(begin: number, end: number): Tensor {
    const [rows = 0, ...rest] = this.shape;
    wholeNumber(begin, 'The first row of narrow');
    wholeNumber(end, 'The end row of narrow');
    if (!(begin <= end && end <= rows)) {
      throw new HintError(
        'INVALID_SHAPE',
        `Rows ${begin} to ${end} do not exist in a tensor of ${rows} rows.`,
      );
    }
    return this.window(begin * elementCount(rest), [end - begin, ...rest]);
  }

  private window(offset: number, shape: readonly number[]): Tensor {
    const view = new Tensor(this.device, viewHandle(this.handle, offset, shape), shape, this.dtype);
    view.requiresGrad = this.requiresGrad;
    const root = this.base ? this.base.tensor : this;
    view.base = { tensor: root, offset: offset + (this.base ? this.base.offset : 0) };
    return this.device.adopt(view);
  }

  /** A copy in another dtype, to compute with: its gradient is this tensor's. It belongs to the scope around the call. */
  as(dtype: 'f32' | 'bf16'): Tensor {
    const [copy] = this.device.apply('cast', [this], { to: dtype }) as [Tensor];
    copy.requiresGrad = this.requiresGrad;
    copy.base = this.base ?? { tensor: this, offset: 0 };
    return copy;
  }

  /** Another tensor on the same memory and the same gradient. */
  alias(): Tensor {
    const handle = guarded(() => native().cloneTensor(this.handle));
    const alias = new Tensor(this.device, handle, this.shape, this.dtype);
    alias.id = this.id;
    alias.requiresGrad = this.requiresGrad;
    alias.base = this.base;
    return this.device.adopt(alias);
  }

  /** Values of an f32 tensor. Rejects with the error of the op that failed to produce them. */
  async read(): Promise<Float32Array> {
    if (this.dtype !== 'f32')
      throw new HintError('INVALID_ARGUMENT', `read() is for f32; this tensor is ${this.dtype}.`);
    return new Float32Array(await this.readBytes());
  }

  /** Values of an i32 tensor. */
  async readIntegers(): Promise<Int32Array> {
    if (this.dtype !== 'i32')
      throw new HintError('INVALID_ARGUMENT', `readIntegers() is for i32; this tensor is ${this.dtype}.`);
    return new Int32Array(await this.readBytes());
  }

  /** The only element of a one-element f32 tensor. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new HintError('INVALID_SHAPE', `item() needs one element; this tensor has ${this.size}.`);
    return (await this.read())[0] as number;
  }

  /** The values as stored, row-major; waits for all commands that it depends on. */
  async readBytes(): Promise<ArrayBuffer> {
    try {
      return await native().readTensor(this.device.handle, this.handle);
    } catch (error) {
      throw asHintError(error);
    }
  }

  /** Gives the memory back once the ops enqueued so far have run; a second time it does nothing. */
  dispose(): void {
    if (!this.native) return;
    native().releaseTensor(this.native);
    if (spareHandles.length < MOST_SPARES) spareHandles.push(this.native);
    this.native = undefined;
  }

  /** Gives its memory back after the commands that use it, at the end of `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
