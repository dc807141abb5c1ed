import type { Group } from '../../distributed/group.js';
import type { Device } from '../../tensor/device.js';
import type { Tensor } from '../../tensor/tensor.js';
import { BUCKET_BYTES } from '../../training/step/gradient-sums.js';
import { median } from '../../util/statistics.js';
import { secondsOf } from '../turns.js';

/** What ranks exchange values by, as measured: α and β of a model of collectives. */
export interface MeasuredLink {
  /** Seconds of a collective of next to nothing. */
  readonly latency: number;
  /** Bytes a second of which a bucket of gradients is summed at owners, beyond that. */
  readonly reduceRate: number;
  /** The same of weights that go from their owners to all. */
  readonly broadcastRate: number;
}

const SMALL_TRIES = 20;
const BUCKET_TRIES = 5;

/** Times collectives that do nothing else at all ranks, each of which owns an equal part. @throws HintError RANK_LOST, OUT_OF_MEMORY */
export async function measureLink(device: Device, ranks: Group): Promise<MeasuredLink> {
  const owners = ranks.places.map(({ rank }) => rank);
  const timed = async (kind: 'reduce' | 'broadcast', elements: number, tries: number): Promise<number> => {
    const tensors = owners.map(() => device.full([elements], 1));
    const times: number[] = [];
    // The first touches its memory.
    for (let i = 0; i <= tries; i++) times.push(await oneOf(device, ranks, kind, tensors, owners));
    for (const tensor of tensors) tensor.dispose();
    return median(times.slice(1));
  };
  const elements = Math.floor(BUCKET_BYTES / 4 / ranks.size);
  const bytes = elements * 4 * ranks.size;
  const latency = Math.min(await timed('reduce', 1, SMALL_TRIES), await timed('broadcast', 1, SMALL_TRIES));
  const rate = async (kind: 'reduce' | 'broadcast'): Promise<number> =>
    bytes / Math.max(await timed(kind, elements, BUCKET_TRIES), latency);
  return { latency, reduceRate: await rate('reduce'), broadcastRate: await rate('broadcast') };
}

function oneOf(
  device: Device,
  ranks: Group,
  kind: 'reduce' | 'broadcast',
  tensors: readonly Tensor[],
  owners: readonly number[],
): Promise<number> {
  return secondsOf(async () => {
    ranks[kind](tensors, owners, 'time the link between them');
    ranks.finish(device);
    await device.synchronize();
  });
}

/**
 * Seconds of a step by ranks that keep all cores of a host busy, so that nothing covers what they exchange: what each computes by
 * itself, then the sums of all gradients and the way of all weights, in buckets.
 *
 * @param computeSeconds of a rank's part by itself, while others compute theirs
 */
export function estimatedStep(computeSeconds: number, parameters: number, link: MeasuredLink): number {
  const bytes = 4 * parameters;
  const collectives = 2 * Math.ceil(bytes / BUCKET_BYTES);
  return computeSeconds + collectives * link.latency + bytes / link.reduceRate + bytes / link.broadcastRate;
}
