import type { Group } from '../../distributed/group.js';
import { inBuckets } from '../../distributed/shares.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Gradients } from '../../tensor/tape.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Gradients and weights travel together up to so many bytes. */
export const BUCKET_BYTES = 25 * 2 ** 20;

/** How gradients are summed. */
export interface SumSettings {
  /** Of a bucket; default {@link BUCKET_BYTES}. */
  readonly bucketBytes?: number;
  /** What terms and their sum are as they travel; default f32. */
  readonly dtype?: ops.FloatDType;
}

/** A parameter, and the rank that gets the sum of its gradients. */
export interface Summand {
  readonly parameter: Tensor;
  readonly owner: number;
}

/**
 * Sums the gradients of a step over all ranks, each at its owner, in buckets that travel while the backward pass goes on. Which
 * bucket comes when changes no bit. It must be the same at all ranks, though each has a batch of its own: the first step's order is
 * that of the parameters, from the last to the first, and then that in which a rank's backward pass made them in that step.
 */
export class GradientSums {
  private summands: readonly Summand[];
  private buckets: Summand[][] = [];
  private readonly bucketOf = new Map<number, number>();
  /** Of this step: how many gradients of each bucket are not final, what was started, and what became final, in order. */
  private missing: number[] = [];
  private started = 0;
  private readonly finals = new Set<number>();
  private step = 0;
  /** Places of the summands that the first step taught; undefined before it. */
  private lesson: Promise<Int32Array> | undefined;
  private isTaught = false;
  /** Of this step: what travels in place of gradients, and those of them that this rank gets the sum of. */
  private readonly rounded: { readonly gradient: Tensor; readonly sum: Tensor; readonly isOwn: boolean }[] =
    [];
  private readonly bucketBytes: number;
  private readonly dtype: ops.FloatDType;

  constructor(
    private readonly ranks: Group,
    private readonly device: Device,
    summands: readonly Summand[],
    { bucketBytes = BUCKET_BYTES, dtype = 'f32' }: SumSettings = {},
  ) {
    this.bucketBytes = bucketBytes;
    this.dtype = dtype;
    this.summands = summands.toReversed();
    this.fillBuckets();
  }

  private fillBuckets(): void {
    this.buckets = inBuckets(this.summands, ({ parameter }) => parameter.bytes, this.bucketBytes);
    for (const [i, bucket] of this.buckets.entries())
      for (const { parameter } of bucket) this.bucketOf.set(parameter.id, i);
  }

  /** Begins a step. */
  async begin(step: number): Promise<void> {
    if (this.lesson && !this.isTaught) {
      const places = await this.lesson;
      this.summands = [...places].map((place) => this.summands[place]!);
      this.fillBuckets();
      this.isTaught = true;
    }
    this.step = step;
    this.missing = this.buckets.map(({ length }) => length);
    this.started = 0;
    this.finals.clear();
  }

  /** Says that nothing of this step will add to the gradient of a parameter, given by its id. */
  isFinal(gradients: Gradients, parameter: number): void {
    const bucket = this.bucketOf.get(parameter);
    if (bucket === undefined || this.finals.has(parameter)) return;
    this.finals.add(parameter);
    this.missing[bucket]!--;
    while (this.missing[this.started] === 0) this.start(gradients);
  }

  private start(gradients: Gradients): void {
    const bucket = this.buckets[this.started++]!;
    const tensors = bucket.map(({ parameter, owner }) =>
      this.sent(this.gradientOf(gradients, parameter), owner === this.ranks.rank),
    );
    const owners = bucket.map(({ owner }) => owner);
    this.ranks.reduce(tensors, owners, `sum the gradients of step ${this.step}`);
  }

  /** What travels of a gradient. */
  private sent(gradient: Tensor, isOwn: boolean): Tensor {
    if (this.dtype === 'f32') return gradient;
    const sum = this.device.tidy(() => this.device.keep(ops.cast(gradient, this.dtype)));
    this.rounded.push({ gradient, sum, isOwn });
    return sum;
  }

  /** Puts the sums of what travelled where gradients are looked for. */
  private *widen(): Sliced<void> {
    for (const { gradient, sum, isOwn } of this.rounded) {
      if (isOwn) this.device.tidy(() => this.device.assign(gradient, ops.cast(sum, 'f32')));
      sum.dispose();
      yield;
    }
    this.rounded.length = 0;
  }

  private gradientOf(gradients: Gradients, parameter: Tensor): Tensor {
    const found = gradients.get(parameter);
    if (found) return found;
    const { gradient } = gradients.target(parameter.id, parameter.shape);
    this.device.apply('fill', [gradient], { value: 0 });
    return gradient;
  }

  /**
   * Enqueues the sums that are left, and a wait for all.
   *
   * @param teacher a rank that has run a microbatch in this step
   */
  *finish(gradients: Gradients, teacher: number): Sliced<void> {
    while (this.started < this.buckets.length) {
      this.start(gradients);
      yield;
    }
    this.lesson ??= this.learn(teacher);
    this.ranks.finish(this.device);
    yield* this.widen();
  }

  /** Enqueues the broadcast of the order in which the teacher's gradients became final; others keep theirs, behind. */
  private learn(teacher: number): Promise<Int32Array> {
    const places = new Map(this.summands.map(({ parameter }, place) => [parameter.id, place]));
    const seen = [...this.finals].map((id) => places.get(id)!);
    const unseen = [...places].filter(([id]) => !this.finals.has(id)).map(([, place]) => place);
    const order = this.device.keep(this.device.tensor(Int32Array.from([...seen, ...unseen]), [places.size]));
    this.ranks.broadcast([order], [teacher], `learn the order of gradients in step ${this.step}`);
    this.ranks.finish(this.device);
    const read = order.readIntegers();
    read.catch(() => undefined);
    order.dispose();
    return read;
  }
}
