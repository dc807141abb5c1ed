import type { TracedCalls } from '../../tensor/tracing-device.js';

/** What a device reaches at best, per second unless said otherwise. */
export interface Roofs {
  /** For titles. */
  readonly name: string;
  /** Whether the figures are assumed, not measured. */
  readonly isAssumed: boolean;
  /** Whether what a GPU does in passes of its own before and behind a product takes time; a CPU does it on the way. */
  readonly hasPasses: boolean;
  /** FLOP/s that shares of the peak are of. */
  readonly peak: number;
  /** FLOP/s of large matrix products. */
  readonly product: number;
  /** FLOP/s of products of groups with fewer than {@link SMALL_ROWS} rows each, */
  readonly smallProduct: number;
  /** and of attention, whose products are as small. */
  readonly attention: number;
  /** Bytes a second that kernels read and write. */
  readonly memory: number;
  /** Bytes a second between host and device. */
  readonly hostCopy: number;
  /** Seconds from one kernel to the next. */
  readonly launch: number;
  /** Bytes of memory. */
  readonly capacity: number;
}

/** Rows from which on a product of groups is as fast as a large one. */
export const SMALL_ROWS = 256;

/**
 * Devices by name. Of the H200's 989 TFLOP/s in bf16 a large product reaches 790, of its 4.8 TB/s kernels 85 %; both are
 * assumed, not measured.
 */
export const ROOFS: Readonly<Record<string, Roofs>> = {
  h200: {
    name: 'an H200',
    isAssumed: true,
    hasPasses: true,
    peak: 989e12,
    product: 790e12,
    smallProduct: 395e12,
    attention: 395e12,
    memory: 0.85 * 4.8e12,
    hostCopy: 50e9,
    launch: 4e-6,
    capacity: 139 * 2 ** 30,
  },
};

/** Which roof the products of a call are under. */
export function productRoof(roofs: Roofs, { op, dimensions }: TracedCalls): number {
  if (op === 'attention') return roofs.attention;
  const { rows = 0, groups = 1 } = dimensions;
  return op === 'grouped_linear' && rows / groups < SMALL_ROWS ? roofs.smallProduct : roofs.product;
}

/** Seconds of calls, by what they are spent on. */
export interface RoofSeconds {
  /** Where products take longer than reading and writing beside them. */
  readonly products: number;
  readonly memory: number;
  readonly launches: number;
}

/**
 * Seconds of a row's calls. Products overlap with the memory traffic of their own kernel, so that the slower of the two counts;
 * other passes come on top, and so do launches, because a kernel starts after the one before it has ended.
 */
export function roofSeconds(roofs: Roofs, calls: TracedCalls): RoofSeconds {
  const { op, flops, bytes, passBytes } = calls;
  const memory = op === 'host copy' ? roofs.hostCopy : roofs.memory;
  const [multiplying, moving] = [flops / productRoof(roofs, calls), bytes / memory];
  const isProduct = multiplying >= moving;
  return {
    products: isProduct ? multiplying : 0,
    memory: (isProduct ? 0 : moving) + (roofs.hasPasses ? passBytes / memory : 0),
    launches: calls.launches * roofs.launch,
  };
}
