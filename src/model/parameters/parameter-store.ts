import { HintError } from '../../util/errors.js';
import { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import { Tensor } from '../../tensor/tensor.js';
import { checked, choice, instance, map, where } from '../../util/arguments.js';
import { showValue } from '../../util/show-value.js';
import { asFloat32 } from './dtypes.js';
import type { TensorSummary } from './tensor-summary.js';

export const DEVICE = instance(Device, 'a Device, such as new Device()');
const TENSORS = map(instance(Tensor, 'a Tensor'));
const SUMMARIES = where<Map<string, TensorSummary>>('a Map', (value) => value instanceof Map);
const DTYPE = choice('f32', 'bf16');

/**
 * The named tensors of a model, in the order of its tensor table: f32, or bf16 where {@link hold} made them so or they are
 * used as their file holds them. The latter become f32 when they are asked for as such, and stay it.
 */
export class ParameterStore {
  private listener: (() => void) | undefined;
  private computesIn: ops.FloatDType = 'f32';
  /** By name; those whose parameter has changed since are gone. */
  private readonly copies = new Map<string, Tensor>();
  /** Names of those that stay bf16. */
  private readonly narrow = new Set<string>();

  /**
   * @param summaries of tensors that were rounded when they were loaded, what they were before
   * @throws HintError INVALID_ARGUMENT
   */
  constructor(
    private readonly tensors: Map<string, Tensor>,
    private readonly summaries = new Map<string, TensorSummary>(),
  ) {
    checked(TENSORS, tensors, 'tensors');
    checked(SUMMARIES, summaries, 'summaries');
    for (const [name, tensor] of tensors) this.observe(name, tensor);
  }

  /**
   * What the model computes in: storage of its activations and of the matrices they are multiplied with. f32 at first.
   * Gradients of parameters are f32 all the same.
   */
  get computeDtype(): ops.FloatDType {
    return this.computesIn;
  }

  set computeDtype(dtype: ops.FloatDType) {
    checked(DTYPE, dtype, 'computeDtype');
    this.computesIn = dtype;
    this.releaseCopies();
  }

  /** Gives back the copies in another dtype; the next request for one makes a new copy. */
  releaseCopies(): void {
    for (const name of [...this.copies.keys()]) this.dropCopy(name);
  }

  /**
   * f32: the parameter itself, or a copy of one that {@link hold} keeps in bf16, which belongs to the scope around the
   * call and whose gradient is the parameter's.
   *
   * @throws HintError INVALID_CHECKPOINT when the model has no such tensor
   */
  get(name: string): Tensor {
    if (this.narrow.has(name)) return this.lend(name);
    this.convert(name, 'f32');
    return this.stored(name);
  }

  /**
   * Keeps a parameter in `dtype` from now on, rounded to the nearest where that is narrower. Whoever had its tensor has to
   * ask for it again.
   *
   * @throws HintError INVALID_CHECKPOINT when the model has no such tensor
   */
  hold(name: string, dtype: ops.FloatDType): void {
    checked(DTYPE, dtype, 'dtype');
    this.convert(name, dtype);
    if (dtype === 'bf16') this.narrow.add(name);
    else this.narrow.delete(name);
  }

  private convert(name: string, dtype: ops.FloatDType): void {
    const tensor = this.stored(name);
    if (tensor.dtype === dtype) return;
    const converted = tensor.device.keep(ops.cast(tensor, dtype));
    this.observe(name, converted);
    this.tensors.set(name, converted);
    if (dtype === 'bf16') converted.onChange?.();
    tensor.dispose();
  }

  /**
   * A parameter in a dtype that rows are computed in: itself, or a copy that is converted once after each of its changes.
   * Its gradient is that of the parameter.
   *
   * @throws HintError INVALID_CHECKPOINT when the model has no such tensor
   */
  as(name: string, dtype: ops.FloatDType): Tensor {
    if (dtype === 'f32') return this.get(name);
    const stored = this.stored(name);
    if (stored.dtype === dtype) return stored;
    let copy = this.copies.get(name);
    if (!copy) {
      copy = stored.device.keep(stored.as(dtype));
      this.copies.set(name, copy);
    }
    // Whether it is trained may have been decided since.
    copy.requiresGrad = stored.requiresGrad;
    return copy;
  }

  /** As it is held, f32 or bf16. @throws HintError INVALID_CHECKPOINT when the model has no such tensor. */
  stored(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (!tensor)
      throw new HintError(
        'INVALID_CHECKPOINT',
        `The model has no tensor named ${showValue(name)}; names() lists them.`,
      );
    return tensor;
  }

  /** What a fingerprint knows of a parameter that is held less exactly than its file has it, until it changes. */
  summary(name: string): TensorSummary | undefined {
    return this.summaries.get(name);
  }

  /** f32 for the ops that follow: what has to be converted belongs to the scope around the call. Its gradient is the parameter's. */
  lend(name: string): Tensor {
    const stored = this.stored(name);
    return stored.dtype === 'f32' ? stored : stored.as('f32');
  }

  /** The values of one as f32, whatever it is held in. */
  read(name: string): Promise<Float32Array> {
    const stored = this.stored(name);
    const values = asFloat32(stored);
    const read = values.read();
    // Freeing is stream-ordered: the read above comes first, and many may be under way.
    if (values !== stored) values.dispose();
    return read;
  }

  /** Calls `listener` whenever an op that changes a tensor was enqueued; one at a time, undefined for none. */
  watch(listener: (() => void) | undefined): void {
    this.listener = listener;
  }

  private observe(name: string, tensor: Tensor): void {
    tensor.onChange = () => {
      this.dropCopy(name);
      this.dropSummary(name);
      this.listener?.();
    };
  }

  private dropCopy(name: string): void {
    this.copies.get(name)?.dispose();
    this.copies.delete(name);
  }

  private dropSummary(name: string): void {
    const { total, head } = this.summaries.get(name) ?? {};
    for (const tensor of [total, head]) tensor?.dispose();
    this.summaries.delete(name);
  }

  /** Whether there is a parameter of that name. */
  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /** All as {@link get} gives them. */
  entries(): [string, Tensor][] {
    return this.names().map((name) => [name, this.get(name)]);
  }

  /** All as they are held. */
  storedEntries(): [string, Tensor][] {
    return [...this.tensors];
  }

  /** Of all parameters, in the order of the model. */
  names(): string[] {
    return [...this.tensors.keys()];
  }

  /** All as {@link get} gives them. */
  all(): Tensor[] {
    return this.names().map((name) => this.get(name));
  }

  /** Gives back every tensor of the store. */
  dispose(): void {
    for (const name of [...this.summaries.keys()]) this.dropSummary(name);
    for (const tensor of [...this.copies.values(), ...this.tensors.values()]) tensor.dispose();
  }
}
