import type { TracedCalls } from '../../tensor/tracing-device.js';

/** The best rates of a device, per second unless stated otherwise. */
export interface Roofs {
  /** For titles. */
  readonly name: string;
  /** Whether the figures are assumed, not measured. */
  readonly isAssumed: boolean;
  /**
   * Whether extra passes before and after a product take time, as on a GPU; a CPU does that work within the product.
   */
  readonly hasPasses: boolean;
  /** FLOP/s of the peak, to which shares refer. */
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

/** Rows per group from which a grouped product is as fast as a large one. */
export const SMALL_ROWS = 256;

/**
 * Devices by name. A large product is assumed to reach 790 of the H200's 989 TFLOP/s in bf16, and kernels 85 % of its
 * 4.8 TB/s; neither is measured.
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

/** The roof of a call's products, FLOP/s. */
export function productRoof(roofs: Roofs, { op, dimensions }: TracedCalls): number {
  if (op === 'attention') return roofs.attention;
  const { rows = 0, groups = 1 } = dimensions;
  return op === 'grouped_linear' && rows / groups < SMALL_ROWS ? roofs.smallProduct : roofs.product;
}

/** Seconds of calls, by their cause. */
export interface RoofSeconds {
  /** Seconds of products that take longer than the memory traffic of their kernel. */
  readonly products: number;
  readonly memory: number;
  readonly launches: number;
}

/**
 * Seconds of a row's calls. Products overlap with the memory traffic of their own kernel, so the slower of the two
 * counts. Other passes are added, and so are launches, because a kernel starts after the previous one has ended.
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
