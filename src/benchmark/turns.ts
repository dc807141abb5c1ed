import { throwIfAborted } from '../util/errors.js';

/** Measurements with a common preparation, such as weights in one dtype. */
export interface MeasurementGroup {
  /** Not timed; runs in every round. */
  readonly prepare?: () => Promise<void>;
  /** Each gives the seconds of one sample. */
  readonly measurements: Readonly<Record<string, () => Promise<number>>>;
}

/** Options of taking turns. */
export interface TurnOptions {
  /** Samples of each measurement. */
  readonly rounds: number;
  /** Whether another round before the first is measured and discarded. */
  readonly warmUp?: boolean;
  /** What every sample that counts runs within, such as a meter of its energy. */
  readonly around?: ((name: string, sample: () => Promise<number>) => Promise<number>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** @returns seconds that `work` takes */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

/**
 * Takes samples of several measurements in turns, so that other load of the machine affects all of them alike.
 *
 * @returns by name, seconds in the order of the rounds
 * @throws HintError ABORTED, and what a measurement throws
 */
export async function alternate(
  groups: readonly MeasurementGroup[],
  { rounds, warmUp = false, around, signal, onProgress }: TurnOptions,
): Promise<Record<string, number[]>> {
  const samples: Record<string, number[]> = {};
  const perRound = groups.reduce((sum, { measurements }) => sum + Object.keys(measurements).length, 0);
  const total = (rounds + Number(warmUp)) * perRound;
  let done = 0;
  for (let round = warmUp ? -1 : 0; round < rounds; round++) {
    for (const { prepare, measurements } of groups) {
      throwIfAborted(signal);
      await prepare?.();
      for (const [name, measure] of Object.entries(measurements)) {
        throwIfAborted(signal);
        const seconds = await (around && round >= 0 ? around(name, measure) : measure());
        if (round >= 0) (samples[name] ??= []).push(seconds);
        onProgress?.(++done, total, name);
      }
    }
  }
  return samples;
}
