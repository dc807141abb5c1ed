import type { Group } from '../../distributed/group.js';
import { balanced } from '../../distributed/shares.js';
import type { Device } from '../../tensor/device.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { LossSums } from './microbatch.js';

/** What is known of a step once all ranks have done their part. */
export interface StepNumbers {
  /** Of every microbatch, in their order. */
  readonly sums: LossSums[];
  /** Of the gradients' sum over all ranks. */
  readonly squareNorm: number;
  /** Whether a rank was asked to stop before the step was enqueued. */
  readonly isStopping: boolean;
}

/**
 * A step that ranks take together: each runs some of its microbatches, and all know the numbers of the whole, which are added
 * up as one process adds them.
 */
export class SharedStep {
  private readonly owners: readonly number[];
  /** Two sums for each microbatch, of which each rank knows its own; then the norm and the wish to stop. */
  private readonly numbers: Tensor;

  /** @param tokens of each microbatch */
  constructor(
    private readonly group: Group,
    private readonly device: Device,
    private readonly step: number,
    tokens: readonly number[],
  ) {
    this.owners = balanced(tokens, group.size);
    this.numbers = device.keep(device.full([2 * tokens.length + 2], 0));
  }

  /** Whether this rank runs the microbatch. */
  isOwn(microbatch: number): boolean {
    return this.owners[microbatch] === this.group.rank;
  }

  /** The last that this rank runs; -1 where it runs none. */
  get lastOwn(): number {
    return this.owners.lastIndexOf(this.group.rank);
  }

  /** A rank that runs a microbatch, the same to all. */
  get worker(): number {
    return this.owners[0] ?? 0;
  }

  addSums(microbatch: number, crossEntropy: Tensor, zLoss: Tensor): void {
    this.put(2 * microbatch, crossEntropy);
    this.put(2 * microbatch + 1, zLoss);
  }

  private put(at: number, value: Tensor): void {
    this.device.tidy(() => this.device.assign(this.numbers.narrow(at, at + 1), value));
  }

  /**
   * Enqueues what makes this rank's numbers those of all.
   *
   * @param squareNorm of the gradients that this rank owns
   * @param isStopping whether it was asked to stop
   */
  share(squareNorm: Tensor, isStopping: boolean): Promise<StepNumbers> {
    const end = this.numbers.size;
    this.put(end - 2, squareNorm);
    if (isStopping) this.device.write(this.numbers, Float32Array.of(1), 4 * (end - 1));
    this.group.allReduce([this.numbers], `add up the losses of step ${this.step}`);
    this.group.finish(this.device);
    const read = this.numbers.read();
    this.numbers.dispose();
    return read.then(stepNumbersOf);
  }
}

function stepNumbersOf(values: Float32Array): StepNumbers {
  const end = values.length;
  const sums = Array.from({ length: (end - 2) / 2 }, (_, i) => ({
    crossEntropy: values[2 * i]!,
    zLoss: values[2 * i + 1]!,
  }));
  return { sums, squareNorm: values[end - 2]!, isStopping: values[end - 1]! > 0 };
}
