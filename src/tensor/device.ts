import { HintError } from '../util/errors.js';
import {
  asHintError,
  DTYPES,
  guarded,
  native,
  NUMBERS_OF_OUTPUT,
  type AttributeValue,
  type CudaReport,
  type DeviceStatistics,
  type DType,
  type NativeCall,
  type NativeDevice,
  type NativeProgram,
  type NativeTensor,
  type PlatformReport,
  type OpSpec,
  type TypedArray,
} from './native.js';
import { parseDevice } from './device-name.js';
import { inputsOf, opEntry, valuesOf } from './op-entry.js';
import { functionOf, kindOf, shapeOf } from './shape.js';
import { createYielder } from '../util/event-loop-lag.js';
import { Urgency } from './urgency.js';
import {
  beginSlice,
  endSlice,
  PATIENT_WORK,
  runToEnd,
  SLICE_MILLISECONDS,
  workOf,
  type Sliced,
} from './slices.js';
import {
  dropSpares,
  spareHandles,
  takeSpareCall,
  Tensor,
  tensorOf,
  useSpares,
  type Recorder,
  type TensorDevice,
} from './tensor.js';
import { tensorsIn } from './tensors-in.js';

/** What native code tells of the outputs of a call; no op has more. */
const numbers = new Float64Array(8 * NUMBERS_OF_OUTPUT);

/** Where tensors live and ops run. */
export interface DeviceOptions {
  /** `cpu` (the default), or an NVIDIA GPU: `cuda`, `cuda:1`. */
  device?: string;
  /** Compute threads; 0 or absent: every core. */
  threads?: number;
  /** Most bytes tensors may take; 0 or absent: no limit. */
  memoryLimit?: number;
}

/** A recorded sequence of ops that the device repeats without JavaScript; see {@link Device.record}. */
export class Program {
  constructor(
    private readonly device: Device,
    private readonly handle: NativeProgram,
  ) {}

  /**
   * Queues up to `times` repetitions; they end early once `stop`, an i32 scalar written by the program, is not zero.
   * Long loops are queued in pieces, so that an AbortSignal can be looked at between them.
   */
  replay(times: number, stop?: Tensor): void {
    const flag = stop === undefined ? null : tensorOf(stop, 'stop').handle;
    guarded(() => native().replay(this.device.handle, this.handle, times, flag));
  }

  /** Gives back the memory of its ops' results once the repetitions queued so far have run. */
  dispose(): void {
    guarded(() => native().releaseProgram(this.device.handle, this.handle));
  }
}

// Values copied without a break: a megabyte, well under a millisecond.
const PIECE_VALUES = 1 << 18;

/** What the calls around an op decide about it. */
interface Surroundings {
  tape: Recorder | undefined;
  scopes: Tensor[][];
  /** The program that ops join instead of running. */
  recording?: NativeProgram | undefined;
}

/** The op table as the native engine declares it. */
export function opTable(): OpSpec[] {
  return native().ops();
}

/**
 * A stream executed by one native thread. Every method but those that return promises only enqueues; errors of the
 * work itself surface at the next `await` of a tensor that depends on it (law 3).
 */
export class Device implements TensorDevice {
  /** For native calls alone. */
  readonly handle: NativeDevice;
  /** Where its memory is and its kernels run. */
  readonly kind: 'cpu' | 'cuda';
  /** Whether inference should multiply by packed weights (`packWeight`), whose order is that of the CPU's kernels. */
  get packsWeights(): boolean {
    return this.kind === 'cpu';
  }
  /** The tape that records ops now, if any. */
  tape: Recorder | undefined;
  private scopes: Tensor[][] = [];
  private isRecording = false;
  private readonly urgency = new Urgency();
  /** What was enqueued since it was set to 0, as {@link workOf} estimates it; undefined: nobody asks. */
  private enqueuedWork: number | undefined;
  private readonly ending = new AbortController();

  /**
   * @throws HintError INVALID_ARGUMENT for a device of another name or number, more than 256 threads or a limit that is no
   *   whole number of bytes, NOT_SUPPORTED when CUDA cannot be used,
   *   naming the reason, NATIVE_MISSING
   */
  constructor(options?: DeviceOptions);
  /** @internal For devices of a kind of their own, which take what `kind` takes. */
  constructor(options: DeviceOptions, own?: { kind: 'cpu' | 'cuda'; native: string });
  constructor(options: DeviceOptions = {}, own?: { kind: 'cpu' | 'cuda'; native: string }) {
    if (typeof options !== 'object' || options === null)
      throw new HintError(
        'INVALID_ARGUMENT',
        `The options of a device must be an object, not ${kindOf(options)}.`,
      );
    const { device = 'cpu', threads = 0, memoryLimit = 0 } = options;
    const { kind, index } = own ? { ...own, index: 0 } : parseDevice(device);
    this.kind = kind;
    this.handle = guarded(() => native().createDevice(threads, memoryLimit, own?.native ?? kind, index));
  }

  /**
   * A tensor with the given values, or, without data, one that an op will write: until then ops refuse to read it.
   *
   * @throws HintError INVALID_SHAPE when the shape is none, too large, or has another number of values; INVALID_ARGUMENT for
   *   data of another class or a dtype that is not the data's
   */
  tensor(data: Float32Array | Int32Array | null, shape: readonly number[], dtype?: DType): Tensor {
    if (data !== null) requireValues(data);
    const own = data instanceof Int32Array ? 'i32' : 'f32';
    if (data !== null && dtype !== undefined && dtype !== own) {
      throw new HintError('INVALID_ARGUMENT', `The data is ${own}, so dtype cannot be ${kindOf(dtype)}.`);
    }
    return this.make(dtype ?? own, shape, data);
  }

  /**
   * A tensor of raw bytes in the given dtype, for bf16 values read from a file.
   *
   * @throws HintError INVALID_SHAPE, INVALID_ARGUMENT as {@link tensor}
   */
  tensorFromBytes(bytes: Uint8Array, shape: readonly number[], dtype: DType): Tensor {
    if (!(bytes instanceof Uint8Array))
      throw new HintError('INVALID_ARGUMENT', `bytes must be a Uint8Array, not ${kindOf(bytes)}.`);
    return this.make(dtype, shape, bytes);
  }

  private make(dtype: DType, shape: readonly number[], data: TypedArray | null): Tensor {
    const sides = shapeOf(shape);
    const handle = guarded(() => native().createTensor(this.handle, dtype, sides, data, spareHandles.at(-1)));
    useSpares(1);
    return this.adopt(new Tensor(this, handle, sides, dtype));
  }

  /** A tensor filled with one number. */
  full(shape: readonly number[], value: number): Tensor {
    const tensor = this.tensor(null, shape, 'f32');
    this.apply('fill', [tensor], { value });
    return tensor;
  }

  /**
   * Enqueues one op of the table and records it on the tape; absent outputs are null.
   *
   * @throws HintError INVALID_ARGUMENT or INVALID_SHAPE naming the op and its argument for what it cannot take, also tensors
   *   of another device, disposed ones and inputs that share memory with one that is updated in place
   */
  apply(
    name: string,
    inputs: (Tensor | null | undefined)[],
    attributes: Record<string, AttributeValue | undefined> = {},
  ): (Tensor | null)[] {
    const entry = opEntry(name);
    const { index, spec } = entry;
    const given = inputsOf(entry, inputs);
    const values = valuesOf(entry, given, attributes, spareHandles);
    const tape = this.tape?.wants(spec, given) ? this.tape : undefined;
    const save = tape ? takeSpareCall() : false;
    const made = guarded(() => native().enqueue(this.handle, index, save, numbers, ...values));
    const outputs = new Array<Tensor | null>(spec.outputs.length);
    for (let i = 0; i < outputs.length; i++) {
      const at = i * NUMBERS_OF_OUTPUT;
      const rank = numbers[at] as number;
      outputs[i] = null;
      if (rank < 0) continue;
      const spare = spareHandles.pop();
      const shape = new Array<number>(rank);
      for (let side = 0; side < rank; side++) shape[side] = numbers[at + 2 + side] as number;
      const handle = (made ? made[i] : spare) as NativeTensor;
      outputs[i] = this.adopt(new Tensor(this, handle, shape, DTYPES[numbers[at + 1] as number] as DType));
    }
    if (this.enqueuedWork !== undefined) this.enqueuedWork += workOf(given[0]?.shape, outputs);
    for (const changed of entry.mutable) given[changed]?.onChange?.();
    tape?.record(spec, given, outputs, (made ? made[outputs.length] : save) as NativeCall);
    return outputs;
  }

  /**
   * Enqueues destination = source, in the memory that destination has; of one shape and dtype.
   *
   * @throws HintError INVALID_SHAPE where they differ in either, INVALID_ARGUMENT for tensors of another device, disposed
   *   ones, and windows of one tensor that overlap
   */
  assign(destination: Tensor, source: Tensor): void {
    const to = tensorOf(destination, 'destination').handle;
    const from = tensorOf(source, 'source').handle;
    guarded(() => native().assignTensor(this.handle, to, from));
    destination.onChange?.();
  }

  /**
   * Runs `body` and disposes every tensor made in it but those it returns (alone, in an array or as values of an
   * object). With stream-ordered memory a disposed tensor's bytes are free once the ops that use it have run.
   */
  tidy<T>(body: () => T): T {
    functionOf(body, 'body');
    this.scopes.push([]);
    let result: T | undefined;
    try {
      result = body();
      return result;
    } finally {
      this.leaveScope(result);
    }
  }

  /** {@link tidy} for work in slices. */
  *tidied<T>(work: Sliced<T>): Sliced<T> {
    this.scopes.push([]);
    let result: T | undefined;
    try {
      result = yield* work;
      return result;
    } finally {
      this.leaveScope(result);
    }
  }

  private leaveScope(result: unknown): void {
    const kept = tensorsIn(result);
    const made = this.scopes.pop() ?? [];
    const outer = this.scopes.at(-1);
    for (const tensor of made) {
      if (!kept.has(tensor)) tensor.dispose();
      else outer?.push(tensor);
    }
  }

  /** Runs work to its end within this turn of the event loop, in the scopes and on the tape around the call. */
  now<T>(work: Sliced<T>): T {
    return runToEnd(work);
  }

  /**
   * Runs work in slices of about 1 ms, between which the event loop turns. All sliced work shares one slice per turn. The work
   * has scopes and a tape of its own: what else enqueues meanwhile lands in neither, and nothing around this call adopts
   * its tensors or records its ops.
   * Resolves when everything is enqueued. Work that was begun is always brought to its end; abort between two.
   *
   * @param options `isPatient`: while others are {@link beginUrgent in a hurry}, a slice waits until the one before has run, and
   *   ends as soon as the device has some milliseconds of work
   */
  async inSlices<T>(work: Sliced<T>, { isPatient = false }: { isPatient?: boolean } = {}): Promise<T> {
    return this.runSlices(work, { tape: undefined, scopes: [] }, isPatient);
  }

  /** Once what is enqueued now has run, well or not: what has failed is told to those who read it. */
  private async caughtUp(): Promise<void> {
    using mark = this.keep(this.full([1], 0));
    await mark.read().catch(() => undefined);
  }

  /** @param own what the work has around it, kept up to date */
  private async runSlices<T>(work: Sliced<T>, own: Surroundings, isPatient = false): Promise<T> {
    for (;;) {
      if (isPatient && this.urgency.isOn) await this.caughtUp();
      const begun = beginSlice();
      const end = typeof begun === 'number' ? begun : await begun;
      const outer = this.enter(own);
      this.enqueuedWork = isPatient && this.urgency.isOn ? 0 : undefined;
      try {
        do {
          const step = work.next();
          if (step.done) return step.value;
        } while (performance.now() < end && (this.enqueuedWork ?? 0) < PATIENT_WORK);
      } finally {
        this.enqueuedWork = undefined;
        Object.assign(own, this.enter(outer));
        endSlice();
      }
    }
  }

  /**
   * Says that somebody waits for what is enqueued from moment to moment, such as for tokens, until the function is called that this
   * returns. Patient work holds back meanwhile.
   */
  beginUrgent(): () => void {
    return this.urgency.begin();
  }

  /** Exchanges scopes, tape and recording; returns those there were. */
  private enter({ tape, scopes, recording }: Surroundings): Surroundings {
    const left = { tape: this.tape, scopes: this.scopes, recording: this.pauseRecording() };
    this.tape = tape;
    this.scopes = scopes;
    if (recording) {
      guarded(() => native().resumeRecording(this.handle, recording));
      this.isRecording = true;
    }
    return left;
  }

  private pauseRecording(): NativeProgram | undefined {
    if (!this.isRecording) return undefined;
    this.isRecording = false;
    return guarded(() => native().endRecording(this.handle));
  }

  /** Takes a tensor out of the scopes around it: its maker disposes it. */
  keep<T extends Tensor>(tensor: T): T {
    for (const scope of this.scopes) {
      const index = scope.indexOf(tensor);
      if (index >= 0) scope.splice(index, 1);
    }
    return tensor;
  }

  /** Adds a new tensor to the innermost scope. */
  adopt(tensor: Tensor): Tensor {
    this.scopes.at(-1)?.push(tensor);
    return tensor;
  }

  /** Records the ops that `body` enqueues instead of running them. */
  record(body: () => void): Program {
    functionOf(body, 'body');
    const begun = this.beginProgram();
    const outer = this.enter({ tape: this.tape, scopes: this.scopes, recording: begun });
    let recording: NativeProgram | undefined;
    try {
      body();
    } finally {
      ({ recording } = this.enter(outer));
    }
    return new Program(this, recording as NativeProgram);
  }

  /**
   * {@link record} for work in slices, as {@link inSlices}: what others enqueue between two of them runs as ever. What the
   * work is given must not be disposed before it has ended.
   */
  async recordInSlices<T>(work: Sliced<T>): Promise<{ program: Program; result: T }> {
    const own: Surroundings = { tape: undefined, scopes: [], recording: this.beginProgram() };
    const result = await this.runSlices(work, own);
    return { program: new Program(this, own.recording as NativeProgram), result };
  }

  /** @throws HintError INVALID_ARGUMENT while ops are recorded */
  private beginProgram(): NativeProgram {
    guarded(() => native().beginRecording(this.handle));
    return guarded(() => native().endRecording(this.handle));
  }

  /**
   * Enqueues a copy of `data`, whose bytes are taken at once, into the tensor from byte `byteOffset` on.
   *
   * @throws HintError INVALID_SHAPE beyond the tensor's end, INVALID_ARGUMENT for other arguments than these
   */
  write(tensor: Tensor, data: TypedArray, byteOffset = 0): void {
    const { handle } = tensorOf(tensor, 'tensor');
    guarded(() => native().writeTensor(this.handle, handle, byteOffset, data));
    tensor.onChange?.();
  }

  /**
   * {@link write} for many values: copies them piece by piece, between which the event loop turns. Resolves when all
   * are enqueued; `data` must stay as it is until then.
   */
  async writeInPieces(tensor: Tensor, data: Float32Array | Int32Array): Promise<void> {
    requireValues(data);
    const yielded = createYielder(SLICE_MILLISECONDS);
    for (let begin = 0; begin < data.length; begin += PIECE_VALUES) {
      const piece = data.subarray(begin, begin + PIECE_VALUES);
      this.write(tensor, piece, begin * data.BYTES_PER_ELEMENT);
      await yielded();
    }
  }

  /** {@link tensor} for many values, in pieces as {@link writeInPieces}. No scope adopts it: its maker disposes it. */
  async upload(data: Float32Array | Int32Array, shape: readonly number[]): Promise<Tensor> {
    requireValues(data);
    if (data.length <= PIECE_VALUES) return this.keep(this.tensor(data, shape));
    const tensor = this.keep(this.tensor(null, shape, data instanceof Int32Array ? 'i32' : 'f32'));
    try {
      await this.writeInPieces(tensor, data);
    } catch (error) {
      tensor.dispose();
      throw error;
    }
    return tensor;
  }

  /** Resolves when everything enqueued so far has run; rejects with the first failure that no read has reported. */
  async synchronize(): Promise<void> {
    try {
      await native().synchronize(this.handle);
    } catch (error) {
      throw asHintError(error);
    }
  }

  /** Counters since the device was made, as of the commands that have run. */
  statistics(): DeviceStatistics {
    return guarded(() => native().statistics(this.handle));
  }

  /** Lets the peak begin again at what is in use now. */
  resetPeakMemory(): void {
    guarded(() => native().resetPeakMemory(this.handle));
  }

  /** Compute threads of the next commands, 1 to 256; 0: one a core. */
  setThreads(threads: number): void {
    guarded(() => native().setThreads(this.handle, threads));
  }

  /** Aborted when the device is closed: what still works with it then should end. */
  get closing(): AbortSignal {
    return this.ending.signal;
  }

  /** Ends the native thread. Tensors of the device must not be used afterwards. */
  close(): void {
    if (this.closing.aborted) return;
    dropSpares();
    guarded(() => native().closeDevice(this.handle));
    this.ending.abort(new HintError('ABORTED', 'The device was closed.'));
  }

  /** Closes it, as `close` does, at the end of `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function requireValues(data: unknown): void {
  if (data instanceof Float32Array || data instanceof Int32Array) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `data must be a Float32Array or an Int32Array, or null for a tensor that an op will write, not ${kindOf(data)}.`,
  );
}

/** For tests and the CLI: the native platform report. */
export const platformReport = (): PlatformReport => guarded(() => native().platform());

/** For the CLI: what CUDA offers on this machine, or why it offers nothing. */
export function cudaReport(): CudaReport {
  return native().cuda();
}

export type { NativeTensor };

/**
 * A value that must be a device.
 *
 * @throws HintError INVALID_ARGUMENT for anything else
 */
export function deviceOf(value: unknown, name = 'device'): Device {
  if (value instanceof Device) return value;
  throw new HintError('INVALID_ARGUMENT', `${name} must be a Device, not ${kindOf(value)}.`);
}
