/**
 * Two numbers per input that name its random stream: a hash of its tokens, and how many equal inputs of its task come
 * before it. So a seed gives an input the same tokens in any company, and equal inputs different ones.
 */
export function sampleStreams(inputs: readonly Int32Array[], taskOf: (input: number) => number): Int32Array {
  const streams = new Int32Array(2 * inputs.length);
  const seen = new Map<string, number>();
  inputs.forEach((input, i) => {
    const key = `${taskOf(i)}:${input.join()}`;
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    streams[2 * i] = hashTokens(input);
    streams[2 * i + 1] = before;
  });
  return streams;
}

/** 32-bit FNV-1a over the bytes of the ids: inputs that collide share random numbers, nothing worse. */
export function hashTokens(ids: Int32Array): number {
  let hash = 0x811c9dc5;
  for (const id of ids)
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((id >>> shift) & 0xff), 0x01000193);
  return hash | 0;
}
