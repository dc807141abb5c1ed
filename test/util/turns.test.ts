import { describe, expect, it } from 'vitest';
import { Turns } from '../../src/util/turns.js';

const never = new AbortController().signal;

describe('turns', () => {
  it('are taken in the order of asking, a few at once, also after one that failed', async () => {
    const turns = new Turns(2);
    const order: number[] = [];
    let most = 0;
    let now = 0;
    const one = (number: number): Promise<void> =>
      turns.run(never, async () => {
        most = Math.max(most, ++now);
        order.push(number);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
        if (number === 1) throw new Error('failed');
      });
    const ends = await Promise.allSettled([0, 1, 2, 3, 4].map(one));
    expect(ends.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'fulfilled',
    ]);
    expect([order, most]).toEqual([[0, 1, 2, 3, 4], 2]);
  });

  it('of those who went away go to the next, and none is lost', async () => {
    const turns = new Turns(1);
    const leaving = new AbortController();
    let end = (): void => undefined;
    const first = turns.run(never, () => new Promise<void>((resolve) => (end = resolve)));
    const gone = turns.run(leaving.signal, async () => 'gone');
    const next = turns.run(never, async () => 'next');
    // In one turn of the event loop: the second has its turn, and goes away before it knows.
    end();
    await first;
    leaving.abort();
    expect((await Promise.allSettled([gone]))[0]?.status).toMatch(/fulfilled|rejected/);
    expect(await next).toBe('next');
    expect(await turns.run(never, async () => 'again')).toBe('again');
    const waiting = new AbortController();
    const held = turns.run(never, () => new Promise<void>((resolve) => (end = resolve)));
    const left = turns.run(waiting.signal, async () => 'left');
    waiting.abort();
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' });
    end();
    await held;
    expect(await turns.run(never, async () => 'last')).toBe('last');
  });
});
