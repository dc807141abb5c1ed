import {
  cheaperFromShots,
  cheaperInputs,
  type CheaperInputs,
  type CostByShots,
  type TaskCost,
} from '../accounting/break-even.js';
import type { WeightDType } from '../tensor/ops.js';
import { median } from '../util/statistics.js';
import {
  OTHER_SYSTEMS,
  COUNTED_SHOTS,
  TOLD_INPUTS,
  type BreakEven,
  type OtherSystem,
  type BreakEvenShots,
  type ComparedSystem,
} from './break-even-run.js';
import { LATENCY_DTYPES, type LatencyPart } from './latency-run.js';

/** What a run of the latency bench gave, as far as costs follow from it. */
export type TimedPart = Pick<LatencyPart, 'points' | 'samples' | 'compileSamples' | 'examples'>;

/**
 * From where on HINT costs less, by the seconds of a run and by FLOPs.
 *
 * @param flops FLOPs of a system with so many shots
 * @returns undefined where HINT or all that it is compared with was not measured
 */
export function breakEven(
  part: TimedPart,
  flops: (system: ComparedSystem, shots: number) => TaskCost | undefined,
): BreakEven | undefined {
  const shots = shotsOf(part);
  const found: BreakEven[] = OTHER_SYSTEMS.flatMap((against) => {
    const dtypes = dtypesOf(part, against);
    if (dtypes.length === 0) return [];
    const timed = dtypes.map((by) => {
      const cost =
        (system: ComparedSystem): CostByShots =>
        (count) =>
          costOfPoint(part, system, by, count);
      const compared = compare({ against, by }, cost, shots, shots);
      const inputs = compared.inputs.map((one) => ({
        ...one,
        rounds: roundsApart(roundsOf(part, 'hint', by, one.shots), roundsOf(part, against, by, one.shots)),
      }));
      return { ...compared, inputs };
    });
    const counted = (system: ComparedSystem): CostByShots => (count) => flops(system, count); // prettier-ignore
    const all = Array.from({ length: COUNTED_SHOTS + 1 }, (_, count) => count);
    return [...timed, compare({ against, by: 'flops' }, counted, shots, all)];
  });
  if (found.length === 0) return undefined;
  return { inputs: found.flatMap(({ inputs }) => inputs), shots: found.flatMap(({ shots: by }) => by) };
}

/** @param looked the shots among which the fewest are found */
function compare(
  compared: Pick<BreakEvenShots, 'against' | 'by'>,
  cost: (system: ComparedSystem) => CostByShots,
  shots: readonly number[],
  looked: readonly number[],
): BreakEven {
  const [own, other] = [cost('hint'), cost(compared.against)];
  return {
    inputs: shots.flatMap((count) => {
      const [mine, theirs] = [own(count), other(count)];
      return mine && theirs ? [{ ...compared, shots: count, ...cheaperInputs(mine, theirs) }] : [];
    }),
    shots: TOLD_INPUTS.map((inputs) => ({
      ...{ ...compared, inputs },
      from: cheaperFromShots(own, other, inputs, looked),
    })),
  };
}

function roundsApart(own: readonly TaskCost[], other: readonly TaskCost[]): CheaperInputs[] {
  return own.map((mine, round) => cheaperInputs(mine, other[round] as TaskCost));
}

/** Seconds of a system with so many shots, the medians of all rounds; undefined where it was not measured. */
export function costOfPoint(
  part: TimedPart,
  system: ComparedSystem,
  dtype: WeightDType,
  shots: number,
): TaskCost | undefined {
  const rounds = roundsOf(part, system, dtype, shots);
  return rounds.length === 0 ? undefined : medianCost(rounds);
}

/** The numbers of shots of a run, ascending. */
export function shotsOf({ points }: Pick<LatencyPart, 'points'>): number[] {
  const found = points.flatMap(({ shots }) => (shots === undefined ? [] : [shots]));
  return [...new Set(found)].sort((a, b) => a - b);
}

/** The dtypes in which both were measured. */
function dtypesOf({ points }: TimedPart, against: OtherSystem): WeightDType[] {
  const held = (system: ComparedSystem): string[] =>
    points.flatMap((point) => (point.system === system && point.shots !== undefined ? [point.dtype] : []));
  return LATENCY_DTYPES.filter((dtype) => held('hint').includes(dtype) && held(against).includes(dtype));
}

function roundsOf(
  { points, samples, compileSamples, examples }: TimedPart,
  system: ComparedSystem,
  dtype: WeightDType,
  shots: number,
): TaskCost[] {
  const point = points.find((one) => one.system === system && one.dtype === dtype && one.shots === shots);
  if (!point) return [];
  return (samples[point.name] ?? []).map((seconds, round) => {
    const once = compileSamples?.[point.name]?.[round] ?? point.compileSeconds ?? 0;
    return { once, each: (seconds - once) / examples };
  });
}

function medianCost(rounds: readonly TaskCost[]): TaskCost {
  return { once: median(rounds.map(({ once }) => once)), each: median(rounds.map(({ each }) => each)) };
}
