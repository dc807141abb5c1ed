/** A parquet file of one uncompressed page, written by hand, so that a random change often hits a size or a count. */
export function plainParquet(rows, values, { unpacked, packed, levels = [] } = {}) {
  const zigzag = (n) => {
    const out = [];
    for (let z = BigInt(n) * 2n; ; z >>= 7n) {
      if (z < 128n) return [...out, Number(z)];
      out.push(Number(z & 127n) | 128);
    }
  };
  const i32 = (delta, n) => [(delta << 4) | 5, ...zigzag(n)];
  const i64 = (delta, n) => [(delta << 4) | 6, ...zigzag(n)];
  const text = (delta, value) => [(delta << 4) | 8, value.length, ...Buffer.from(value)];
  const list = (delta, type, items) => [(delta << 4) | 9, (items.length << 4) | type, ...items.flat()];
  const data = Buffer.concat([Buffer.from(levels), ...['one', 'two', 'six'].map((word) => Buffer.concat([Buffer.from([3, 0, 0, 0]), Buffer.from(word)]))]); // prettier-ignore
  const page = Buffer.from([...i32(1, 0), ...i32(1, unpacked ?? data.length), ...i32(1, packed ?? data.length), (2 << 4) | 12, ...i32(1, values), ...i32(1, 0), ...i32(1, 3), ...i32(1, 3), 0, 0]); // prettier-ignore
  const body = Buffer.concat([Buffer.from('PAR1'), page, data]);
  const size = page.length + data.length;
  const column = [...i32(1, 6), ...list(1, 5, [zigzag(0)]), ...list(1, 8, [[4, ...Buffer.from('text')]]), ...i32(1, 0), ...i64(1, values), ...i64(1, size), ...i64(1, size), ...i64(2, 4), 0]; // prettier-ignore
  const group = [...list(1, 12, [[...i64(2, 4), (1 << 4) | 12, ...column, 0]]), ...i64(1, size), ...i64(1, rows), 0]; // prettier-ignore
  const schema = list(1, 12, [[...text(4, 'schema'), ...i32(1, 1), 0], [...i32(1, 6), ...i32(2, levels.length > 0 ? 1 : 0), ...text(1, 'text'), ...i32(2, 0), 0]]); // prettier-ignore
  const footer = Buffer.from([...i32(1, 1), ...schema, ...i64(1, rows), ...list(1, 12, [group]), 0]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([body, footer, length, Buffer.from('PAR1')]);
}
