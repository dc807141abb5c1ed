import { describe, expect, it } from 'vitest';
import { buildBatch, checkTokenIds, concatenate } from '../../src/data/batch.js';
import { example } from './examples.js';

describe('buildBatch', () => {
  it('encodes an instruction once however many examples have it, also in different arrays', () => {
    const batch = buildBatch([
      example('a0', [7, 8, 1], [3, 1]),
      example('b0', [9, 1], [4, 4, 1], [5, 1]),
      example('a1', [7, 8, 1], [6, 1]),
    ]);
    expect(batch.instructions).toEqual({
      ids: Int32Array.of(7, 8, 1, 9, 1),
      offsets: Int32Array.of(0, 3, 5),
    });
    expect([...batch.taskIndex]).toEqual([0, 0, 1]);
    expect(batch.examples.map(({ id }) => id)).toEqual(['a0', 'a1', 'b0']);
    expect(batch.inputs).toEqual({
      ids: Int32Array.of(3, 1, 6, 1, 4, 4, 1),
      offsets: Int32Array.of(0, 2, 4, 7),
    });
    expect(batch.targets).toEqual({ ids: Int32Array.of(1, 1, 5, 1), offsets: Int32Array.of(0, 1, 2, 4) });
  });

  it('tells instructions apart that only differ in length or in the high bytes of an id', () => {
    const batch = buildBatch([example('a', [1], [1]), example('b', [1, 0], [1]), example('c', [257], [1])]);
    expect([...batch.taskIndex]).toEqual([0, 1, 2]);
  });

  it('does not mistake views into one buffer for each other', () => {
    const buffer = Int32Array.of(5, 6, 5, 6, 7);
    const parts = [buffer.subarray(0, 2), buffer.subarray(2, 4), buffer.subarray(3, 5)];
    const batch = buildBatch(parts.map((instruction, i) => ({ ...example(`${i}`, [1], [1]), instruction })));
    expect([...batch.taskIndex]).toEqual([0, 0, 1]);
  });

  it('has no instruction row for systems without instructions', () => {
    const batch = buildBatch([example('a', [], [3, 1]), example('b', [], [4, 1])]);
    expect(batch.instructions).toEqual({ ids: new Int32Array(0), offsets: Int32Array.of(0) });
    expect([...batch.taskIndex]).toEqual([0, 0]);
  });

  it('refuses what no model can read: no examples, no tokens, half of them with instructions', () => {
    expect(() => buildBatch([])).toThrow(/at least one example/);
    expect(() => buildBatch([example('a', [1], [])])).toThrow(/Example a has an input of 0 tokens/);
    expect(() => buildBatch([example('a', [1], [1], [])])).toThrow(/target of 0 tokens/);
    expect(() => buildBatch([example('a', [1], [1]), example('b', [], [1])])).toThrow(
      /a and b cannot share a batch/,
    );
  });
});

describe('concatenate', () => {
  it('keeps sequences of no tokens as rows', () => {
    expect(concatenate([Int32Array.of(), Int32Array.of(2), Int32Array.of()]).offsets).toEqual(
      Int32Array.of(0, 0, 1, 1),
    );
  });
});

describe('checkTokenIds', () => {
  it('names the first id without an embedding and lets the last row pass', () => {
    checkTokenIds(Int32Array.of(0, 99), 100);
    expect(() => checkTokenIds(Int32Array.of(5, 100, 101), 100)).toThrow(
      /Token id 100 at position 1.*of 100/,
    );
    expect(() => checkTokenIds([-1], 100)).toThrow(/Token id -1/);
    expect(() => checkTokenIds([0.5], 100)).toThrow(/Token id 0.5/);
  });
});
