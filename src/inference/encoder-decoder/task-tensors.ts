import { int8ToBfloat16, type SafetensorsFile } from '../../formats/safetensors/file.js';
import { checkFinite } from '../../model/checkpoint/checkpoint.js';
import { MappedTensors } from '../../model/checkpoint/mapped-tensors.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { HintError } from '../../util/errors.js';
import { createYielder } from '../../util/event-loop-lag.js';

/** Values of 8 bits that are converted without a break: about half a millisecond. */
const CONVERTED_AT_ONCE = 1 << 18;

/** The tensors of a task file on the device, on their way to be checked. */
export class TaskTensors {
  private readonly mapped: MappedTensors | undefined;
  private readonly tensors = new Map<string, Tensor>();
  /** Not finite if a value that was read is not. */
  private readonly norm: Tensor;

  constructor(
    private readonly file: SafetensorsFile,
    private readonly device: Device,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.mapped = device.packsWeights ? new MappedTensors(device, file) : undefined;
    this.norm = device.keep(device.full([1], 0));
  }

  get path(): string {
    return this.file.path;
  }

  isQuantized(name: string): boolean {
    return this.file.tensors.get(name)?.dtype === 'I8';
  }

  /** A tensor of 8 bits as bf16, which holds it exactly. @throws HintError as {@link read} */
  async readSteps(name: string, shape: readonly number[]): Promise<Tensor> {
    const { device } = this;
    const stored = device.keep(device.tensor(null, shape, 'bf16'));
    this.tensors.set(name, stored);
    const breathe = createYielder();
    let at = 0;
    for await (const piece of this.file.pieces(name, this.signal)) {
      for (let begin = 0; begin < piece.length; begin += CONVERTED_AT_ONCE) {
        const halves = int8ToBfloat16(piece.subarray(begin, begin + CONVERTED_AT_ONCE));
        device.write(stored, halves, at);
        at += halves.length;
        await breathe();
      }
    }
    return stored;
  }

  /** A tensor in memory of the device's own. @throws HintError INVALID_CHECKPOINT, IO, ABORTED */
  async read(name: string, shape: readonly number[], dtype: ops.FloatDType): Promise<Tensor> {
    const { device } = this;
    using window = this.window(name);
    const held = this.file.tensors.get(name)?.dtype === 'BF16' ? 'bf16' : 'f32';
    const stored = device.keep(window ? ops.copy(window) : device.tensor(null, shape, held));
    this.tensors.set(name, stored);
    let at = 0;
    for await (const piece of window ? [] : this.file.pieces(name, this.signal)) {
      device.write(stored, piece, at);
      at += piece.length;
    }
    const tensor = held === 'f32' ? stored : device.keep(ops.cast(stored, 'f32'));
    this.tensors.set(name, tensor);
    if (tensor !== stored) stored.dispose();
    ops.addSquareNorm(tensor, this.norm);
    if (dtype === 'f32') return tensor;
    const rounded = device.keep(ops.cast(tensor, dtype));
    this.tensors.set(name, rounded);
    tensor.dispose();
    return rounded;
  }

  /** A tensor where it lies in the file, undefined where that cannot be; its user checks its values. */
  window(name: string): Tensor | undefined {
    const tensor = this.mapped?.tensor(name);
    if (tensor) this.tensors.set(name, tensor);
    return tensor;
  }

  /**
   * Waits for what is made of the tensors.
   *
   * @throws HintError INVALID_CHECKPOINT naming a value that is no finite number; what `made` rejects with
   */
  async check(made: Promise<void>): Promise<void> {
    const [norm, rest] = await Promise.allSettled([this.norm.item(), made]);
    const isNumeric = rest.status === 'rejected' && (rest.reason as HintError).code === 'NUMERIC';
    if (isNumeric || (norm.status === 'fulfilled' && !Number.isFinite(norm.value))) {
      for (const [name, tensor] of this.tensors)
        if (!tensor.disposed)
          await checkFinite(await this.values(tensor), `The tensor ${name} of ${this.path}`, this.signal);
    }
    for (const result of [rest, norm]) if (result.status === 'rejected') throw result.reason;
  }

  private async values(tensor: Tensor): Promise<Float32Array> {
    using wide = this.device.keep(ops.cast(tensor, 'f32'));
    return await wide.read();
  }

  /** Gives one, or all of them, back. */
  dispose(only?: string): void {
    for (const [name, tensor] of this.tensors) if (name === (only ?? name)) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.norm.dispose();
  }
}
