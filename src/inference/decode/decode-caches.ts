import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { Cache, DecodeNetwork } from '../contract/decode-network.js';

/** Tokens that caches have room for at first; they double when they are full. */
export const FIRST_CAPACITY = 32;

// Below this many rows a step costs what reading the weights costs, however many rows there are.
const ROWS_WORTH_DROPPING = 16;

/** Whether letting the rows go that have ended is worth copying the caches of those that go on. */
export function isWorthDropping(rows: number, active: number): boolean {
  return rows >= ROWS_WORTH_DROPPING && active * 4 <= rows * 3;
}

/** Empty caches of every layer, kept until {@link disposeCaches}. */
export function createCaches(network: DecodeNetwork, rows: number, capacity: number): Cache[] {
  const { device, cacheLayers, cacheWidth, cacheDType } = network;
  const make = (): Tensor => device.keep(device.tensor(null, [rows, capacity, cacheWidth], cacheDType));
  return Array.from({ length: cacheLayers }, () => ({ key: make(), value: make() }));
}

/**
 * Caches of `sources.length` rows, row i with the first `filled` tokens of the old row sources[i]. The old ones stay the
 * caller's.
 */
export function moveCaches(
  device: Device,
  caches: readonly Cache[],
  sources: readonly number[],
  filled: number,
  capacity: number,
): Cache[] {
  const oldCapacity = caches[0]?.key.shape[1] ?? 0;
  const places = new Int32Array(sources.length * capacity);
  sources.forEach((source, i) => {
    for (let at = 0; at < filled; at++) places[i * capacity + at] = source * oldCapacity + at;
  });
  return device.tidy(() => {
    const ids = device.tensor(places, [places.length]);
    const move = (cache: Tensor): Tensor => {
      const [rows = 0, , width = 0] = cache.shape;
      const moved = ops.embedding(ids, cache.reshape([rows * oldCapacity, width]));
      return device.keep(moved.reshape([sources.length, capacity, width]));
    };
    return caches.map(({ key, value }) => ({ key: move(key), value: move(value) }));
  });
}

export function disposeCaches(caches: readonly Cache[]): void {
  for (const { key, value } of caches) for (const tensor of [key, value]) tensor.dispose();
}
