import { HintError } from '../errors.js';
import {
  asHintError,
  guarded,
  native,
  type AttributeValue,
  type CudaReport,
  type DeviceStatistics,
  type DType,
  type NativeCall,
  type NativeDevice,
  type NativeOutput,
  type NativeProgram,
  type NativeTensor,
  type OpSpec,
  type TypedArray,
} from './native.js';
import { createYielder } from '../util/event-loop-lag.js';
import { beginSlice, endSlice, runToEnd, SLICE_MILLISECONDS, type Sliced } from './slices.js';
import type { Tape } from './tape.js';
import { dropSpares, spareHandles, Tensor, useSpares } from './tensor.js';

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
    guarded(() => native().replay(this.device.handle, this.handle, times, stop ? stop.handle : null));
  }

  /** Gives back the memory of its ops' results once the repetitions queued so far have run. */
  dispose(): void {
    native().releaseProgram(this.handle);
  }
}

// Values copied without a break: a megabyte, well under a millisecond.
const PIECE_VALUES = 1 << 18;

/** What the calls around an op decide about it. */
interface Surroundings {
  tape: Tape | undefined;
  scopes: Tensor[][];
  /** The program that ops join instead of running. */
  recording?: NativeProgram | undefined;
}

interface OpEntry {
  index: number;
  spec: OpSpec;
  attributeIndex: Map<string, number>;
  /** Inputs that the op changes in place. */
  mutable: number[];
}

let opEntries: Map<string, OpEntry> | undefined;

function opEntry(name: string): OpEntry {
  opEntries ??= new Map(
    native()
      .ops()
      .map((spec, index) => [
        spec.name,
        {
          index,
          spec,
          attributeIndex: new Map(spec.attributes.map((attribute, i) => [attribute.name, i])),
          mutable: spec.inputs.flatMap(({ mutable }, i) => (mutable ? [i] : [])),
        },
      ]),
  );
  const entry = opEntries.get(name);
  if (!entry) throw new HintError('INVALID_ARGUMENT', `There is no op named ${name}.`);
  return entry;
}

/** The op table as the native engine declares it. */
export function opTable(): OpSpec[] {
  return native().ops();
}

/**
 * A stream executed by one native thread. Every method but those that return promises only enqueues; errors of the
 * work itself surface at the next `await` of a tensor that depends on it (design law 3).
 */
export class Device {
  readonly handle: NativeDevice;
  readonly kind: 'cpu' | 'cuda';
  /** Whether inference should multiply by packed weights (`packWeight`), whose order is that of the CPU's kernels. */
  get packsWeights(): boolean {
    return this.kind === 'cpu';
  }
  /** The tape that records ops now, if any. */
  tape: Tape | undefined;
  private scopes: Tensor[][] = [];
  private isRecording = false;
  private readonly ending = new AbortController();

  /**
   * @throws HintError INVALID_ARGUMENT for a device of another name or number, NOT_SUPPORTED when CUDA cannot be used,
   *   naming the reason, NATIVE_MISSING
   */
  constructor(options: DeviceOptions = {}) {
    const { kind, index } = parseDevice(options.device ?? 'cpu');
    this.kind = kind;
    this.handle = guarded(() =>
      native().createDevice(options.threads ?? 0, options.memoryLimit ?? 0, kind, index),
    );
  }

  /** A tensor with the given values, or, without data, one that an op will write. */
  tensor(data: Float32Array | Int32Array | null, shape: readonly number[], dtype?: DType): Tensor {
    const kind = dtype ?? (data instanceof Int32Array ? 'i32' : 'f32');
    const handle = guarded(() => native().createTensor(this.handle, kind, shape, data));
    return this.adopt(new Tensor(this, handle, shape, kind));
  }

  /** A tensor of raw bytes in the given dtype, for bf16 values read from a file. */
  tensorFromBytes(bytes: Uint8Array, shape: readonly number[], dtype: DType): Tensor {
    return this.adopt(
      new Tensor(
        this,
        guarded(() => native().createTensor(this.handle, dtype, shape, bytes)),
        shape,
        dtype,
      ),
    );
  }

  /** A tensor filled with one number. */
  full(shape: readonly number[], value: number): Tensor {
    const tensor = this.tensor(null, shape, 'f32');
    this.apply('fill', [tensor], { value });
    return tensor;
  }

  /** Enqueues one op of the table and records it on the tape; absent outputs are null. */
  apply(
    name: string,
    inputs: (Tensor | null | undefined)[],
    attributes: Record<string, AttributeValue | undefined> = {},
  ): (Tensor | null)[] {
    const entry = opEntry(name);
    const values = this.orderAttributes(entry, attributes);
    const handles = inputs.map((input) => (input ? input.handle : null));
    const { index, spec } = entry;
    const tape = this.tape?.wants(spec, inputs) ? this.tape : undefined;
    const results = guarded(() =>
      native().enqueue(this.handle, index, handles, values, tape !== undefined, spareHandles),
    );
    let made = 0;
    for (let i = 0; i < spec.outputs.length; i++) if (results[i]) made++;
    useSpares(made);
    for (const changed of entry.mutable) inputs[changed]?.onChange?.();
    const outputs = spec.outputs.map((_, i) => {
      const result = results[i] as NativeOutput;
      return result ? this.adopt(new Tensor(this, result[0], result[1], result[2])) : null;
    });
    tape?.record(spec, inputs, outputs, results[outputs.length] as NativeCall);
    return outputs;
  }

  /**
   * Enqueues destination = source, in the memory that destination has; of one shape and dtype.
   *
   * @throws HintError INVALID_SHAPE
   */
  assign(destination: Tensor, source: Tensor): void {
    if (source.shape.join() !== destination.shape.join() || source.dtype !== destination.dtype) {
      throw new HintError(
        'INVALID_SHAPE',
        `Cannot assign ${source.dtype} [${source.shape.join(', ')}] to a tensor of ${destination.dtype} [${destination.shape.join(', ')}]; dtype and shape must be equal.`,
      );
    }
    guarded(() => native().assignTensor(this.handle, destination.handle, source.handle));
    destination.onChange?.();
  }

  private orderAttributes(
    entry: OpEntry,
    attributes: Record<string, AttributeValue | undefined>,
  ): (AttributeValue | undefined)[] {
    const values = new Array<AttributeValue | undefined>(entry.spec.attributes.length).fill(undefined);
    for (const key in attributes) {
      const index = entry.attributeIndex.get(key);
      if (index === undefined) {
        throw new HintError(
          'INVALID_ARGUMENT',
          `The op ${entry.spec.name} has no attribute ${key}; it has ${[...entry.attributeIndex.keys()].join(', ')}.`,
        );
      }
      values[index] = attributes[key];
    }
    return values;
  }

  /**
   * Runs `body` and disposes every tensor made in it but those it returns (alone, in an array or as values of an
   * object). With stream-ordered memory a disposed tensor's bytes are free once the ops that use it have run.
   */
  tidy<T>(body: () => T): T {
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
    const kept = new Set<Tensor>(tensorsIn(result));
    const made = this.scopes.pop() ?? [];
    for (const tensor of made) {
      if (!kept.has(tensor)) tensor.dispose();
      else this.scopes.at(-1)?.push(tensor);
    }
  }

  /** Runs work to its end within this turn of the event loop, in the scopes and on the tape around the call. */
  now<T>(work: Sliced<T>): T {
    return runToEnd(work);
  }

  /**
   * Runs work in slices of about 2 ms, between which the event loop turns; works that run at once share them. The work
   * has scopes and a tape of its own: what else enqueues meanwhile lands in neither, and nothing around this call adopts
   * its tensors or records its ops.
   * Resolves when everything is enqueued. Work that was begun is always brought to its end; abort between two.
   */
  async inSlices<T>(work: Sliced<T>): Promise<T> {
    return this.runSlices(work, { tape: undefined, scopes: [] });
  }

  /** @param own what the work has around it, kept up to date */
  private async runSlices<T>(work: Sliced<T>, own: Surroundings): Promise<T> {
    for (;;) {
      const begun = beginSlice();
      const end = typeof begun === 'number' ? begun : await begun;
      const outer = this.enter(own);
      try {
        do {
          const step = work.next();
          if (step.done) return step.value;
        } while (performance.now() < end);
      } finally {
        Object.assign(own, this.enter(outer));
        endSlice();
      }
    }
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

  write(tensor: Tensor, data: TypedArray, byteOffset = 0): void {
    guarded(() => native().writeTensor(this.handle, tensor.handle, byteOffset, data));
    tensor.onChange?.();
  }

  /**
   * {@link write} for many values: copies them piece by piece, between which the event loop turns. Resolves when all
   * are enqueued; `data` must stay as it is until then.
   */
  async writeInPieces(tensor: Tensor, data: Float32Array | Int32Array): Promise<void> {
    const yielded = createYielder(SLICE_MILLISECONDS);
    for (let begin = 0; begin < data.length; begin += PIECE_VALUES) {
      const piece = data.subarray(begin, begin + PIECE_VALUES);
      this.write(tensor, piece, begin * data.BYTES_PER_ELEMENT);
      await yielded();
    }
  }

  /** {@link tensor} for many values, in pieces as {@link writeInPieces}. No scope adopts it: its maker disposes it. */
  async upload(data: Float32Array | Int32Array, shape: readonly number[]): Promise<Tensor> {
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

  statistics(): DeviceStatistics {
    return guarded(() => native().statistics(this.handle));
  }

  resetPeakMemory(): void {
    guarded(() => native().resetPeakMemory(this.handle));
  }

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
    native().closeDevice(this.handle);
    this.ending.abort(new HintError('ABORTED', 'The device was closed.'));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Splits `cuda:1` into kind and index. */
function parseDevice(name: string): { kind: 'cpu' | 'cuda'; index: number } {
  const match = /^(cpu|cuda)(?::(\d{1,4}))?$/.exec(name);
  if (!match || (match[1] === 'cpu' && match[2] !== undefined))
    throw new HintError('INVALID_ARGUMENT', `The device "${name}" is unknown; use cpu, cuda or cuda:N.`);
  return { kind: match[1] as 'cpu' | 'cuda', index: Number(match[2] ?? 0) };
}

function tensorsIn(value: unknown): Tensor[] {
  if (value instanceof Tensor) return [value];
  if (Array.isArray(value)) return value.flatMap(tensorsIn);
  if (value instanceof Map) return [...value.values()].flatMap(tensorsIn);
  if (value && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.values(value).flatMap(tensorsIn);
  }
  return [];
}

/** For tests and the CLI: the native platform report. */
export function platformReport(): { oneDNN: string; cores: number; isa: string[] } {
  return native().platform();
}

/** For the CLI: what CUDA offers on this machine, or why it offers nothing. */
export function cudaReport(): CudaReport {
  return native().cuda();
}

export type { NativeTensor };
