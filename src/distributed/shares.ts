/**
 * Deals items out to ranks so that their sizes are balanced: the largest first, each to the rank that has least. The same
 * everywhere for the same sizes.
 *
 * @returns of every item the rank
 */
export function balanced(sizes: readonly number[], ranks: number): number[] {
  const loads = new Array<number>(ranks).fill(0);
  const owners = new Array<number>(sizes.length).fill(0);
  const largestFirst = sizes.map((_, i) => i).sort((a, b) => sizes[b]! - sizes[a]! || a - b);
  for (const item of largestFirst) {
    const least = loads.indexOf(Math.min(...loads));
    owners[item] = least;
    loads[least]! += sizes[item]!;
  }
  return owners;
}

/** Cuts a list into neighbours of about `most` bytes each; an item that has more is alone. */
export function inBuckets<T>(items: readonly T[], bytesOf: (item: T) => number, most: number): T[][] {
  const buckets: T[][] = [];
  let room = 0;
  for (const item of items) {
    const bytes = bytesOf(item);
    if (bytes > room) {
      buckets.push([]);
      room = most;
    }
    buckets.at(-1)!.push(item);
    room -= bytes;
  }
  return buckets;
}
