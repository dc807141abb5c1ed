import { describe, expect, it } from 'vitest';
import { cheaperFromShots, cheaperInputs, costOf } from '../../src/accounting/break-even.js';

const cost = (once: number, each: number) => ({ once, each });

describe('the inputs for which one system costs less', () => {
  it.each([
    ['begin where what is done once is paid back', cost(3, 1), cost(0, 2), { from: 4, upTo: null }],
    ['begin with the first where an input pays it back', cost(3, 1), cost(0, 5), { from: 1, upTo: null }],
    ['are all where both costs are lower', cost(1, 1), cost(2, 2), { from: 1, upTo: null }],
    ['are all where an input costs the same', cost(1, 2), cost(2, 2), { from: 1, upTo: null }],
    ['are none where both costs are higher', cost(2, 2), cost(1, 1), { from: null, upTo: null }],
    ['are none where costs are equal', cost(2, 2), cost(2, 2), { from: null, upTo: null }],
    ['end where dearer inputs have used it up', cost(0, 2), cost(3, 1), { from: 1, upTo: 2 }],
    ['are none where that is with the first', cost(0, 2), cost(1, 1), { from: null, upTo: null }],
  ])('%s', (_, own, other, expected) => {
    const found = cheaperInputs(own, other);
    expect(found).toEqual(expected);
    for (let inputs = 1; inputs < 20; inputs++) {
      const within = found.from !== null && inputs >= found.from && inputs <= (found.upTo ?? Infinity);
      expect(costOf(own, inputs) < costOf(other, inputs), `${inputs} inputs`).toBe(within);
    }
  });
});

it('the shots from which on a system costs less leave out a number at which it happens not to be dearer', () => {
  const known = new Map([
    [0, cost(9, 1)],
    [1, cost(1, 1)],
    [2, cost(9, 1)],
    [5, cost(4, 1)],
    [7, cost(5, 1)],
  ]);
  const from = (inputs: number, shots: number[]) =>
    cheaperFromShots((count) => known.get(count), (count) => cost(0, 1 + count), inputs, shots); // prettier-ignore
  expect(from(1, [7, 0, 1, 2, 5])).toBe(5);
  expect(from(10, [0, 1, 2, 3, 5, 7])).toBe(1);
  expect(from(1, [0, 2])).toBeNull();
  expect(from(1, [])).toBeNull();
});
