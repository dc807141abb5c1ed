import { join } from 'node:path';
import { z } from 'zod';
import { listOf } from '../../../util/check.js';
import { checkBytes } from '../../../util/limits.js';
import type { Device } from '../../../tensor/device.js';
import * as ops from '../../../tensor/ops.js';
import type { Comparison } from './difference.js';
import { readFixtureJson, validate } from './fixture-inputs.js';

// Keys are checked in blocks, so that the unit vectors stay narrow.
const WIDTH = 64;
// Arrays of queries, keys and values, here and on the device, and of their results.
const ARRAYS = 8;

const schema = z.object({
  first_offset: z
    .int()
    .min(-(1 << 24))
    .max(1 << 24),
  buckets: z
    .int()
    .min(2)
    .max(1 << 10),
  max_distance: z
    .int()
    .min(1)
    .max(1 << 24),
  bidirectional: listOf(z.int()),
  causal: listOf(z.int()),
});

/**
 * Reads the buckets off the attention kernel itself: head h sees only keys of bucket h (every other bucket's bias is
 * far below), and key j's value is the j-th unit vector, so the non-zero outputs of head h are the keys of bucket h.
 */
export async function verifyBucketCase(device: Device, directory: string): Promise<Comparison[]> {
  const expected = validate(
    schema,
    await readFixtureJson(directory, 'expected.json'),
    join(directory, 'expected.json'),
  );
  const comparisons: Comparison[] = [];
  for (const name of ['bidirectional', 'causal'] as const) {
    const reach = Math.max(-expected.first_offset, expected.first_offset + expected[name].length - 1);
    checkBytes(directory, 'checking its buckets takes', ARRAYS * (reach + 1) * expected.buckets * WIDTH * 4);
    const wrong: string[] = [];
    for (const [query, sign] of [
      [0, 1],
      [reach, -1],
    ] as const) {
      const seen = await bucketsSeen(
        device,
        reach + 1,
        query,
        name === 'causal',
        expected.buckets,
        expected.max_distance,
      );
      for (let distance = 0; distance <= reach; distance++) {
        const offset = sign * distance;
        const want = expected[name][offset - expected.first_offset];
        // A causal query never sees a later key, whatever its bucket.
        if (want === undefined || (name === 'causal' && offset > 0)) continue;
        if (seen[query + offset] !== want) wrong.push(`${name} offset ${offset}`);
      }
    }
    comparisons.push({ name: wrong[0] ?? name, difference: wrong.length, bound: 0 });
  }
  return comparisons;
}

async function bucketsSeen(
  device: Device,
  length: number,
  query: number,
  causal: boolean,
  buckets: number,
  maxDistance: number,
): Promise<Int32Array> {
  const found = new Int32Array(length).fill(-1);
  const width = WIDTH;
  const bias = Float32Array.from({ length: buckets * buckets }, (_, i) =>
    Math.floor(i / buckets) === i % buckets ? 0 : -1e4,
  );
  const zeros = new Float32Array(length * buckets * width);
  for (let begin = 0; begin < length; begin += width) {
    const values = new Float32Array(length * buckets * width);
    for (let key = begin; key < Math.min(length, begin + width); key++) {
      for (let head = 0; head < buckets; head++) values[(key * buckets + head) * width + key - begin] = 1;
    }
    const shape = [length, buckets * width];
    const offsets = Int32Array.of(0, length);
    const output = device.tidy(() =>
      ops.attention(device.tensor(zeros, shape), device.tensor(zeros, shape), device.tensor(values, shape), {
        numHeads: buckets,
        qOffsets: offsets,
        kOffsets: offsets,
        // Takes all the weight of a head that has no key of its bucket.
        prefixKey: device.full([1, 1, 1, buckets * width], 0),
        prefixValue: device.full([1, 1, 1, buckets * width], 0),
        bias: device.tensor(bias, [buckets, buckets]),
        maxDistance,
        causal,
      }),
    );
    const rows = await output.read();
    output.dispose();
    for (let head = 0; head < buckets; head++) {
      for (let i = 0; i < width && begin + i < length; i++) {
        if ((rows[(query * buckets + head) * width + i] as number) > 0.5 / (length + 1))
          found[begin + i] = head;
      }
    }
  }
  return found;
}
