import { describe, expect, it } from 'vitest';
import { jsonRecord, recordsOf, streamRecords } from '../../src/util/records.js';

const ODD = 'a\u2028b\u2029c\u0085d\u000be\u000cf\rg';

describe('records', () => {
  it('end at line feeds and at nothing else that some program takes for the end of a line', () => {
    expect(recordsOf(`${ODD}\n\nx\r\ny`)).toEqual([ODD, '', 'x', 'y']);
    expect(recordsOf('')).toEqual([]);
    expect(recordsOf('\n')).toEqual(['']);
    expect(recordsOf('a\n\n')).toEqual(['a', '']);
  });

  it('come whole out of a stream, however it cuts them and the characters in them', async () => {
    const bytes = Buffer.from(`${ODD}é\n\n😀\r\nlast`);
    for (const size of [1, 2, 3, 1000]) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      const found: string[] = [];
      for await (const record of streamRecords(asStream(chunks))) found.push(record);
      expect(found).toEqual([`${ODD}é`, '', '😀', 'last']);
    }
  });

  it('are written so that programs which split at U+2028 or U+0085 read the same JSON', () => {
    const line = jsonRecord({ text: ODD });
    expect(line).not.toMatch(/[\u0085\u2028\u2029]/);
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(JSON.parse(line)).toEqual({ text: ODD });
  });
});

async function* asStream(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks;
}
