import { totalmem } from 'node:os';
import { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import { throwIfAborted } from '../../util/errors.js';
import { matrixRoof } from '../training-steps.js';
import type { Roofs } from './roofs.js';

const TRIES = 5;
/** Rows of one group, and the width of its matrix: an adapter's. */
const GROUPED = { groups: 16, rows: 44, width: 512 };
/** Sequences of the length of a short instruction. */
const ATTENDED = { sequences: 32, length: 64, width: 512, heads: 8 };
/** Larger than the caches, in values. */
const MOVED = 1 << 24;
const TINY_CALLS = 1000;

/**
 * Measures the rates of this machine's CPU: large products, products of small groups, attention, a pass over memory
 * larger than the caches, and the shortest time of a call. Takes some seconds.
 *
 * @throws HintError OUT_OF_MEMORY, ABORTED
 */
export async function measureRoofs(threads: number, signal: AbortSignal): Promise<Roofs> {
  using device = new Device({ threads });
  const product = 1 / (await matrixRoof(device, 'f32')());
  throwIfAborted(signal);
  const { groups, rows, width } = GROUPED;
  const x = device.full([groups * rows, width], 0.5);
  const matrices = device.full([groups, 1, width, width], 0.25);
  const rowOffsets = Int32Array.from({ length: groups + 1 }, (_, group) => group * rows);
  const grouped = await fastest(device, () => ops.groupedLinear(x, matrices, { rowOffsets }));
  throwIfAborted(signal);
  const { sequences, length, heads } = ATTENDED;
  const qkv = device.full([sequences * length, ATTENDED.width], 0.5);
  const offsets = Int32Array.from({ length: sequences + 1 }, (_, i) => i * length);
  const attended = await fastest(device, () =>
    ops.attention(qkv, qkv, qkv, { numHeads: heads, qOffsets: offsets, kOffsets: offsets }),
  );
  throwIfAborted(signal);
  const values = device.full([MOVED], 1);
  const moved = await fastest(device, () => ops.scale(values, 2));
  throwIfAborted(signal);
  const one = device.full([1], 1);
  const tiny = await fastest(device, () => {
    for (let i = 0; i < TINY_CALLS; i++) ops.scale(one, 2);
  });
  return {
    name: "this machine's CPU",
    isAssumed: false,
    hasPasses: false,
    peak: product,
    product,
    smallProduct: (2 * groups * rows * width * width) / grouped,
    attention: (4 * sequences * length * length * ATTENDED.width) / attended,
    memory: (8 * MOVED) / moved,
    hostCopy: (8 * MOVED) / moved,
    launch: tiny / TINY_CALLS,
    capacity: totalmem(),
  };
}

/** Seconds of the fastest of some runs. */
async function fastest(device: Device, work: () => Tensor | void): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < TRIES; i++) {
    await device.synchronize();
    const started = performance.now();
    device.tidy(() => void work());
    await device.synchronize();
    best = Math.min(best, (performance.now() - started) / 1000);
  }
  return best;
}
