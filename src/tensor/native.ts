import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { HintError, type HintErrorCode } from '../util/errors.js';
import { cudaPackageFolder, findBinary } from './binary/find.js';
import { probeBinary } from './binary/probe.js';

/** Opaque handles of the native engine. */
export type NativeDevice = object & { readonly __device: unique symbol };
export type NativeTensor = object & { readonly __tensor: unique symbol };
/** An op that was enqueued and waits for its backward pass. */
export type NativeCall = object & { readonly __call: unique symbol };
export type NativeFile = object & { readonly __file: unique symbol };
export type NativeProgram = object & { readonly __program: unique symbol };
/** Seconds of working together with other ranks, waits for them included. */
export interface CommunicationTimes {
  /** Seconds in which values were exchanged, or others were waited for. */
  readonly communication: number;
  /** Of them, those in which the device computed nothing. */
  readonly exposed: number;
}

/** A stretch of communication, or of the device's waiting for it. */
export interface CommunicationInterval {
  /** What the ranks did, as in "sum the gradients of step 3". */
  readonly what: string;
  /** Whether the device waited for communication; else it is communication itself. */
  readonly isExposed: boolean;
  /** Seconds of the clock that process.hrtime reads, which processes of one host share. */
  readonly begin: number;
  /** Seconds of the same clock. */
  readonly end: number;
}

/** This process among those that a launcher has started together. */
export type NativeGroup = object & { readonly __group: unique symbol };

/** What a tensor's values are stored as; i8 is for quantised weights, i32 for ids and counters. */
export type DType = 'f32' | 'bf16' | 'i32' | 'i8';
/** What an attribute of an op may be; lists of whole numbers are Int32Array. */
export type AttributeValue = number | boolean | string | Int32Array;
/** Arrays whose bytes become a tensor's; bf16 is given as Uint16Array. */
export type TypedArray = Float32Array | Int32Array | Int8Array | Uint8Array | Uint16Array;

/** One argument of an op, as its native declaration states it. */
export interface ArgumentSpec {
  /** As the op's declaration and its errors have it. */
  name: string;
  /** Sides by letter, such as `[rows, d]`; equal letters must be of equal size. */
  shape: string;
  /** `floating`: f32 or bf16. */
  dtype: DType | 'floating' | 'any';
  /** Whether null may stand in its place. */
  optional: boolean;
  /** Whether backward makes a gradient for it. */
  differentiable: boolean;
  /** Whether the op writes to it. */
  mutable: boolean;
  /** Whether backward reads it, so that a tape keeps it. */
  saved: boolean;
}

/** One row of the op table. */
export interface OpSpec {
  /** In snake case, as native code and errors have it. */
  name: string;
  /** One line about what it computes. */
  summary: string;
  /** Tensors in the order in which a call gives them. */
  inputs: ArgumentSpec[];
  /** Tensors in the order in which a call returns them. */
  outputs: ArgumentSpec[];
  /** Values that are no tensors, in the order in which a call gives them. */
  attributes: { name: string; kind: 'integer' | 'number' | 'string' | 'list'; required: boolean }[];
  /** Whether there is a backward pass. */
  differentiable: boolean;
}

/** Counters of a device: allocator bytes, commands executed and floating point operations counted from the op table. */
export interface DeviceStatistics {
  /** Of tensors and of what commands need while they run. */
  bytesInUse: number;
  /** Of tensors that are used where they lie in a file, beside {@link bytesInUse}. */
  bytesBorrowed: number;
  /** Given back by tensors, and kept for the next ones. */
  bytesCached: number;
  /** The most since the device was made, or since the peak was reset. */
  peakBytesInUse: number;
  /** Executed since the device was made. */
  commands: number;
  /** Floating point operations of those commands, two per multiply-add. */
  flops: number;
  /** Commands that were enqueued and have not run. */
  queued: number;
}

/** Calls of one op that differ in nothing that their cost depends on, as {@link TracingDevice} notes them. */
export interface TracedCalls {
  /** Of the op table, or `host copy`. */
  op: string;
  backward: boolean;
  /** Of the first input. */
  dtype: DType;
  /** As the op's declaration names them. */
  dimensions: Record<string, number>;
  /** How often, and of all of them together: */
  calls: number;
  flops: number;
  /** Bytes of device memory that the kernels read and write which multiply, or which are the only ones, */
  bytes: number;
  /** those of passes before and behind them, */
  passBytes: number;
  /** and CUDA kernels in all. */
  launches: number;
}

/** What CUDA offers on this machine; without devices, `reason` says why. */
export interface CudaReport {
  devices: { name: string; computeCapability: string; memory: number }[];
  reason: string;
  /** cuBLASLt's version, or why matrix products do without it. */
  gemmLibrary: string;
  /** Versions as CUDA counts them: 13000 is 13.0; 0: none. */
  runtime: number;
  driver: number;
}

/** Implementations of MPI that the engine has code for. */
export type MpiImplementation = 'openmpi' | 'mpich';
export const MPI_IMPLEMENTATIONS: readonly MpiImplementation[] = ['openmpi', 'mpich'];

/** What computes on the CPU here. */
export interface PlatformReport {
  cores: number;
  /** Those that kernels make use of. */
  isa: string[];
  /** Which products the processor has: matrices of narrower numbers are widened otherwise. */
  products: { inferenceBf16: boolean; inferenceInt8: boolean; trainingBf16: boolean };
}

/** What there is of a library by which ranks work together. */
export interface LibraryReport {
  /** As it says itself; empty: it cannot be used, */
  version: string;
  /** and this says why, and what to do about it. */
  reason: string;
}

/** What ranks do together with tensors: sums at one rank or at all, and what one has given to all or all to one. */
export type Collective = 'reduce' | 'allReduce' | 'broadcast' | 'gather';

/** In the order in which native code counts them. */
export const DTYPES: readonly DType[] = ['f32', 'bf16', 'i32', 'i8'];

/** How many numbers {@link NativeModule.enqueue} tells of an output: its number of sides, dtype and sides. */
export const NUMBERS_OF_OUTPUT = 10;

/** The functions of the native module; everything above it goes through {@link Device} and {@link Tensor}. */
export interface NativeModule {
  createDevice(threads: number, memoryLimit: number, kind: string, index: number): NativeDevice;
  closeDevice(device: NativeDevice): void;
  /** Ends every device of this environment, for a process that is about to end. */
  stopDevices(): void;
  createTensor(
    device: NativeDevice,
    dtype: DType,
    shape: readonly number[],
    data: TypedArray | null,
    spare?: NativeTensor,
  ): NativeTensor;
  mapFile(descriptor: number): NativeFile | null;
  mapTensor(
    device: NativeDevice,
    file: NativeFile,
    dtype: DType,
    shape: readonly number[],
    position: number,
  ): NativeTensor;
  releasePages(device: NativeDevice, tensor: NativeTensor): void;
  firstNonFinite(device: NativeDevice, tensor: NativeTensor): Promise<number>;
  viewTensor(
    tensor: NativeTensor,
    offset: number,
    shape: readonly number[],
    spare?: NativeTensor,
  ): NativeTensor;
  cloneTensor(tensor: NativeTensor): NativeTensor;
  releaseTensor(tensor: NativeTensor): void;
  /**
   * The lists are values of the call, because Node-API takes longer for an element of an array.
   *
   * @param save true, or a handle of a call that is gone, to use for this one
   * @param numbers receives {@link NUMBERS_OF_OUTPUT} for each output: how many sides it has (-1: there is no such output),
   *   the place of its dtype in {@link DTYPES}, its sides
   * @param values inputs and attributes, each as many as the op has, and spare handles, which the outputs take in their
   *   order; to be forgotten by the caller
   * @returns nothing where the spare handles were enough; else the outputs, and behind them, with `save`, the call that
   *   {@link enqueueBackward} takes
   */
  enqueue(
    device: NativeDevice,
    op: number,
    save: boolean | NativeCall,
    numbers: Float64Array,
    ...values: (NativeTensor | AttributeValue | null | undefined)[]
  ): (NativeTensor | NativeCall | null)[] | undefined;
  /** @param values gradients of the outputs, those to write of the inputs, and betas of these: as many as the op has */
  enqueueBackward(
    device: NativeDevice,
    call: NativeCall,
    ...values: (NativeTensor | number | null | undefined)[]
  ): void;
  releaseCall(call: NativeCall): void;
  assignTensor(device: NativeDevice, destination: NativeTensor, source: NativeTensor): void;
  writeTensor(device: NativeDevice, tensor: NativeTensor, byteOffset: number, data: TypedArray): void;
  readTensor(device: NativeDevice, tensor: NativeTensor): Promise<ArrayBuffer>;
  synchronize(device: NativeDevice): Promise<void>;
  beginRecording(device: NativeDevice): void;
  endRecording(device: NativeDevice): NativeProgram;
  /** Goes on recording what endRecording gave; the handle is of no use any more. */
  resumeRecording(device: NativeDevice, program: NativeProgram): void;
  releaseProgram(device: NativeDevice, program: NativeProgram): void;
  replay(device: NativeDevice, program: NativeProgram, times: number, stop: NativeTensor | null): void;
  statistics(device: NativeDevice): DeviceStatistics;
  /** What a tracing device was asked to do since the last call. */
  takeTrace(device: NativeDevice): TracedCalls[];
  resetPeakMemory(device: NativeDevice): void;
  setThreads(device: NativeDevice, threads: number): void;
  /** From now on the CPU rounds to bf16 by chance, drawn from the seed; 0: to the nearest. */
  simulateRounding(device: NativeDevice, seed: number): void;
  ops(): OpSpec[];
  platform(): PlatformReport;
  cuda(): CudaReport;
  /** Joules of a GPU since its driver was loaded; with a reason, there are none. */
  gpuEnergy(gpu: number): { joules: number; reason: string };
  mpi(implementation: MpiImplementation): LibraryReport;
  nccl(): LibraryReport;
  /** What tells the GPUs of one run from others: one rank makes it, and all are given it. */
  makeNcclId(): ArrayBuffer;
  /**
   * Begins to join the processes that a launcher has started together with this one; all else waits for it. `alone` is a
   * group of one.
   */
  joinGroup(implementation: MpiImplementation | 'alone'): NativeGroup;
  /** The same of ranks that have an id of NCCL, whose tensors are on GPUs. @param gpu of this rank, as devices are counted */
  joinGroup(nccl: 'nccl', id: Uint8Array, rank: number, size: number, gpu: number): NativeGroup;
  /** Joins the GPUs of a group's ranks, which then share tensors there. */
  joinGpus(group: NativeGroup, id: Uint8Array, rank: number, size: number, gpu: number): Promise<void>;
  /** What every rank gives. Not while collectives of a device are under way, to which it has no order. */
  exchangeBytes(group: NativeGroup, bytes: Uint8Array, what: string): Promise<ArrayBuffer[]>;
  /** Queues a collective, whose tensors are not to be written until {@link finishCollectives}. */
  startCollective(
    device: NativeDevice,
    group: NativeGroup,
    kind: Collective,
    tensors: readonly NativeTensor[],
    owners: readonly number[],
    root: number,
    what: string,
  ): void;
  /** Makes the device wait for what was started. */
  finishCollectives(device: NativeDevice, group: NativeGroup): void;
  /** Ends all waits for other ranks, now and later, with this error. */
  interruptGroup(group: NativeGroup, message: string): void;
  /** What is waited for, and for how long; null: nothing. */
  groupActivity(group: NativeGroup): { what: string; seconds: number } | null;
  /** Seconds of communication so far, and those of them for which the device waited; of the commands before. */
  groupTimes(device: NativeDevice, group: NativeGroup): Promise<CommunicationTimes>;
  /** What {@link groupTimes} adds up, since it was recorded or last taken. @param isRecorded whether more will be */
  takeGroupIntervals(group: NativeGroup, isRecorded: boolean): CommunicationInterval[];
  /** Takes leave of the others, which do the same; the handle is of no use any more. */
  closeGroup(group: NativeGroup): Promise<void>;
  /** Where the CUDA library is looked for, instead of beside this module; of effect until it is first needed. */
  setCudaFolder(folder: string): void;
}

let loaded: NativeModule | undefined;

/**
 * Loads the native engine once per environment: the one that HINT_NATIVE names, that was built here, or that npm installed for this
 * platform, which a child process tries first.
 *
 * @throws HintError NATIVE_MISSING when there is none for this machine, or a system library is missing
 */
export function native(): NativeModule {
  if (loaded) return loaded;
  // The OpenMP team must not spin while JavaScript has work: two cores are all some machines have.
  process.env['GOMP_SPINCOUNT'] ??= '20000';
  const { path, origin } = findBinary();
  if (origin === 'package') probeBinary(path);
  try {
    loaded = createRequire(import.meta.url)(path) as NativeModule;
  } catch (cause) {
    throw new HintError(
      'NATIVE_MISSING',
      `The native engine could not be loaded (${(cause as Error).message}); run "hint doctor", or build it again: "npm run build" in a clone, "npx hint build" where npm installed it.`,
      { cause },
    );
  }
  const cuda = existsSync(join(dirname(path), 'hint_cuda.so')) ? undefined : cudaPackageFolder();
  if (cuda !== undefined) loaded.setCudaFolder(cuda);
  // Where a process ends while a device works, its threads would see the process's static objects destroyed.
  process.once('exit', loaded.stopDevices);
  return loaded;
}

/**
 * Puts a layer around the native engine, such as one that times what it is asked to do.
 *
 * @returns what takes the layer away; of several, the last first
 */
export function layerNative(layer: (inner: NativeModule) => NativeModule): () => void {
  const inner = native();
  loaded = layer(inner);
  return () => (loaded = inner);
}

/** Native errors carry a code and a sentence; this makes them the engine's own class, with the JavaScript stack. */
export function asHintError(error: unknown): unknown {
  if (error instanceof HintError || !(error instanceof Error)) return error;
  const code = (error as Error & { code?: string }).code;
  return code ? new HintError(code as HintErrorCode, error.message) : error;
}

/** Runs a native call and rethrows its errors as {@link HintError}. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asHintError(error);
  }
}
