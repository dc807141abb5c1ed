import { describe, expect, it } from 'vitest';
import { crc32c } from '../../../src/formats/tfrecord/crc32c.js';
import { scalarRecord, versionRecord } from '../../../src/formats/tensorboard/event-file.js';

describe('an event file of TensorBoard', () => {
  it('has the checksum of the published test vectors (RFC 3720, B.4)', () => {
    const vector = (from: (i: number) => number): number =>
      crc32c(Uint8Array.from({ length: 32 }, (_, i) => from(i)));
    expect(vector(() => 0)).toBe(0x8a9136aa);
    expect(vector(() => 0xff)).toBe(0x62a8ab43);
    expect(vector((i) => i)).toBe(0x46dd794e);
    expect(vector((i) => 31 - i)).toBe(0x113fdb5c);
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  });

  it('begins with the bytes that tensorboard itself writes', () => {
    // Event(wall_time=1.5, file_version='brain.Event:2') through its RecordWriter.
    expect(versionRecord(1500).toString('hex')).toBe(
      '1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c',
    );
  });

  it('has the bytes that tensorboard writes for numbers of a step beyond 32 bits', () => {
    expect(scalarRecord({ time: 2500, step: 2 ** 40, scalars: { 'a/b': 0.5, é: -3 } }).toString('hex')).toBe(
      '290000000000000037ff5f00090000000000000440108080808080202a170a0a0a03612f62150000003f0a090a02c3a915000040c0c909113c',
    );
  });
});
