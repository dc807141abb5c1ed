/** Right-pads to one length with token 0, and lists which rows are real. */
export function pad(
  sequences: { ids: Int32Array; offsets: Int32Array },
  length: number,
): { ids: Int32Array; offsets: Int32Array; real: Int32Array } {
  const { ids, offsets } = sequences;
  const count = offsets.length - 1;
  let longest = Math.max(1, length);
  for (let i = 0; i < count; i++)
    longest = Math.max(longest, (offsets[i + 1] as number) - (offsets[i] as number));
  const padded = new Int32Array(count * longest);
  const real: number[] = [];
  for (let i = 0; i < count; i++) {
    const sequence = ids.subarray(offsets[i], offsets[i + 1]);
    padded.set(sequence, i * longest);
    sequence.forEach((_, position) => real.push(i * longest + position));
  }
  return {
    ids: padded,
    offsets: Int32Array.from({ length: count + 1 }, (_, i) => i * longest),
    real: Int32Array.from(real),
  };
}
