/* eslint-disable @typescript-eslint/explicit-module-boundary-types -- the types stand in JSDoc */
/** @param {readonly number[]} values at least one */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @returns {Promise<number>} seconds that `work` takes */
export async function secondsOf(work) {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

/**
 * Samples of several measurements, taken in turns: what else the machine does falls on all of them alike.
 *
 * @param {Record<string, () => Promise<number>>} measurements each gives the seconds of one sample
 * @param {number} rounds samples of each, after one untimed round
 * @param {(done: number, total: number) => void} [onProgress]
 * @returns {Promise<Record<string, number[]>>}
 */
export async function alternate(measurements, rounds, onProgress) {
  const names = Object.keys(measurements);
  const samples = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const [i, name] of names.entries()) {
      const seconds = await measurements[name]();
      if (round >= 0) samples[name].push(seconds);
      onProgress?.((round + 1) * names.length + i + 1, (rounds + 1) * names.length);
    }
  }
  return samples;
}
