import { median, spread } from '../util/statistics.js';
import type { EnergyPart } from './energy/meter.js';
import { flopsOf } from './latency-flops.js';
import type { MeasuredModels } from './latency-measurements.js';
import type { LatencyCase, LatencyPart, LatencyPoint, Observations } from './latency-run.js';

/** Everything that was seen of the samples of a run. */
export interface MeasuredSamples extends Pick<LatencyPart, 'samples' | 'examples'> {
  readonly cases: ReadonlyMap<string, LatencyCase>;
  readonly observations: Observations;
  readonly energy: EnergyPart;
}

/** @returns a figure for every measurement */
export function latencyPoints(
  models: MeasuredModels,
  { cases, samples, observations, energy, examples }: MeasuredSamples,
): LatencyPoint[] {
  return [...cases].map(([name, measured]) => {
    const seconds = samples[name] ?? [];
    const observed = observations.get(name) ?? [];
    const compiling = observed.map(({ compileSeconds = 0 }) => compileSeconds);
    const per100 = seconds.map((value, i) => secondsPer100(value, compiling[i] ?? 0, examples));
    // Power is taken to be the same while compiling and generating.
    const joules = energy.joules[name]?.map((value, i) => (value * (per100[i] ?? NaN)) / (seconds[i] ?? NaN));
    const lags = observed.flatMap(({ eventLoopLag }) => (eventLoopLag ? [eventLoopLag] : []));
    const worst = lags.toSorted((a, b) => b.p99 - a.p99)[0];
    return {
      name,
      ...measured,
      ...spread(per100),
      ...(measured.instructionTokens !== undefined && { compileSeconds: median(compiling) }),
      memoryBytes: Math.max(...observed.map(({ memoryBytes }) => memoryBytes)),
      ...flopsOf(models, measured),
      ...(joules && { joules: median(joules) }),
      ...(worst && { eventLoopLag: worst }),
    };
  });
}

/** Seconds that went into what is done once a task, of the systems that do something. */
export function compileSamplesOf(
  cases: ReadonlyMap<string, LatencyCase>,
  observations: Observations,
): Record<string, number[]> {
  const compiled = [...cases].filter(([, { instructionTokens }]) => instructionTokens !== undefined);
  return Object.fromEntries(
    compiled.map(([name]) => [
      name,
      (observations.get(name) ?? []).map(({ compileSeconds = 0 }) => compileSeconds),
    ]),
  );
}

/** @param compile of the seconds, those that do not grow with the examples */
function secondsPer100(seconds: number, compile: number, examples: number): number {
  return compile + ((seconds - compile) * 100) / examples;
}
