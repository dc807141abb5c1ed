import type { NativeModule } from '../../../src/tensor/native.js';
import { FaceCalls } from './face-calls.js';
import { Judge, type Tally } from './judge.js';
import { NativeCalls } from './native-calls.js';
import { OpCalls } from './op-calls.js';
import { Random } from './random.js';
import { World } from './world.js';

export interface MisuseOptions {
  seed: number;
  /** Ends after this many episodes, or after the seconds, whichever comes first. */
  iterations?: number;
  seconds?: number;
}

export interface MisuseReport {
  episodes: number;
  /** Valid and deliberately invalid calls; attempts to find valid calls are not counted. */
  total: Tally;
  /** Ops, backward passes and exports of the native module that never ran. */
  missing: string[];
  byName: ReadonlyMap<string, Tally>;
}

const CALLS_PER_EPISODE = 150;

/**
 * Makes random calls with random arguments of all functions that make or change tensors. Throws, naming the seed of the
 * episode, for any error that is no refusal of the engine; the caller must notice when the process ends. Afterwards
 * this thread cannot open a device.
 */
export async function misuse(native: NativeModule, options: MisuseOptions): Promise<MisuseReport> {
  const judge = new Judge();
  const specs = native.ops();
  const ops = new OpCalls(specs, judge);
  const exports = new NativeCalls(judge, ops);
  const faces = new FaceCalls(judge);
  const { seed, iterations = Infinity, seconds = Infinity } = options;
  const end = performance.now() + 1000 * seconds;
  let episodes = 0;
  for (; episodes < iterations && performance.now() < end; episodes++) {
    const random = new Random(seed + episodes);
    const world = new World(native, random);
    try {
      for (let i = 0; i < CALLS_PER_EPISODE; i++) {
        world.heal();
        const choice = random.next();
        if (choice < 0.6) ops.call(world);
        else if (choice < 0.7) ops.backward(world);
        else if (choice < 0.85) exports.call(world);
        else if (choice < 0.87) exports.spare(world);
        else faces.call(world);
        if (i % 25 === 24) await judge.settle();
      }
      await judge.settle();
    } catch (error) {
      throw new Error(
        `Misuse with --seed ${seed} went wrong in episode ${episodes}: ${(error as Error).message}`,
        {
          cause: error,
        },
      );
    } finally {
      world.close();
    }
  }
  faces.close();
  // Called last, because no device can be opened afterwards.
  judge.call('native.stopDevices', () => native.stopDevices());
  const names = [
    ...Object.keys(native).map((name) => `native.${name}`),
    ...specs.map(({ name }) => `op.${name}`),
    ...specs.filter(({ differentiable }) => differentiable).map(({ name }) => `backward.${name}`),
  ];
  // Ops and backward passes are the two exports that the other two kinds of calls go through.
  const through = new Set(['native.enqueue', 'native.enqueueBackward']);
  // These are refused where there is no GPU, or no NCCL.
  const needGpus = ['native.makeNcclId', 'native.joinGpus'];
  const total = { calls: 0, done: 0, refused: 0 };
  for (const [name, tally] of judge.byName) {
    if (/^(try|search)\./.test(name)) continue;
    total.calls += tally.calls;
    total.done += tally.done;
    total.refused += tally.refused;
  }
  return {
    episodes,
    total,
    missing: judge.missing(names.filter((name) => !through.has(name) && !needGpus.includes(name))),
    byName: judge.byName,
  };
}
