import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { balanced, inBuckets } from '../../src/distributed/shares.js';
import { Watch, type Hub, type Loss } from '../../src/distributed/watch.js';

const PLACES = [0, 1, 2].map((rank) => ({ rank, host: 'here', pid: 100 + rank }));

/** Ranks in one process, what each has heard of losses, and where rank 0 listens. */
async function watches(): Promise<{ all: Watch[]; losses: Loss[][]; hub: Hub }> {
  const losses: Loss[][] = PLACES.map(() => []);
  let tell: (hub: Hub) => void = () => undefined;
  const hub = new Promise<Hub>((resolve) => (tell = resolve));
  const share = (own: Hub | undefined): Promise<Hub> => {
    if (own) tell(own);
    return hub;
  };
  const all = await Promise.all(
    PLACES.map(({ rank }) =>
      Watch.start({ places: PLACES, rank, limit: 60_000 }, share, (loss) => losses[rank]!.push(loss)),
    ),
  );
  return { all, losses, hub: await hub };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((again) => setTimeout(again, 5));
}

describe('the watch of ranks', () => {
  it('has a rank that fails named to all, and told by rank 0 alone', async () => {
    const { all, losses } = await watches();
    expect(await all[2]!.fail('No memory is left.')).toBe(true);
    await until(() => losses[0]!.length > 0 && losses[1]!.length > 0);
    const what = 'Rank 2 on here (process 102) failed: No memory is left.';
    expect(losses).toEqual([[{ what, isTeller: true }], [{ what, isTeller: false }], []]);
    for (const watch of all) await watch.leave();
  });

  it('takes leave without a loss', async () => {
    const { all, losses } = await watches();
    for (const watch of all) await watch.leave();
    await new Promise((over) => setTimeout(over, 50));
    expect(losses).toEqual([[], [], []]);
  });

  it('lets in nobody who does not know the token, whatever they say', async () => {
    const { all, losses, hub } = await watches();
    for (const words of [
      '{"kind":"hello","rank":1,"token":"x"}\n',
      'x'.repeat(1 << 17),
      '{"kind":"lost","what":"all"}\n',
    ])
      await new Promise<void>((closed) => {
        const stranger = connect({ host: '127.0.0.1', port: hub.port });
        // Once all ranks have come, nobody is listening.
        stranger.on('error', () => undefined).on('close', () => closed());
        stranger.write(words);
      });
    expect(losses).toEqual([[], [], []]);
    for (const watch of all) await watch.leave();
  });
});

describe('shares', () => {
  it('are balanced, complete, and the same everywhere', () => {
    const sizes = [7, 1, 5, 3, 3, 9, 2];
    const owners = balanced(sizes, 3);
    const loads = [0, 1, 2].map((rank) =>
      sizes.reduce((sum, size, i) => sum + (owners[i] === rank ? size : 0), 0),
    );
    expect(loads.reduce((sum, load) => sum + load)).toBe(30);
    expect(Math.max(...loads)).toBeLessThan(12);
    expect(balanced([4], 3)).toEqual([0]);
  });

  it('travel in buckets that keep their order', () => {
    expect(inBuckets([3, 3, 3, 9, 1], (bytes) => bytes, 6)).toEqual([[3, 3], [3], [9], [1]]);
  });
});
