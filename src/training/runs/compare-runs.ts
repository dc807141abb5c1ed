import { describeChangesLine } from '../run/changes-log.js';
import { flattenedSettings, PLACES } from '../run/changes.js';
import { resultsOf, type RunRecord, type RunResults } from './read-run.js';

/** Runs that differ in nothing but their seed. */
export interface RunGroup {
  /** Their places among the runs that were given. */
  readonly runs: readonly number[];
  readonly seeds: readonly number[];
  readonly results: Readonly<Record<string, Spread>>;
}

/** Mean and standard deviation of a result over the runs of a group that have it. */
export interface Spread {
  readonly mean: number;
  /** Of a sample (n − 1); undefined for a single value. */
  readonly deviation: number | undefined;
  readonly count: number;
}

/** What differs between runs. */
export interface RunComparison {
  readonly groups: readonly RunGroup[];
  /** Settings that are not the same in all groups: per group the value, undefined where it is not set. */
  readonly settings: readonly { readonly key: string; readonly values: readonly unknown[] }[];
}

// Where a run lies and computes is not what makes it another one.
const APART = new Set([...PLACES, 'output', 'seed', 'data.cache', 'validation.data.cache']);

/** Compares runs: those that differ in nothing but their seed are one group, with the spread of their results. */
export function compareRuns(runs: readonly RunRecord[]): RunComparison {
  const settings = runs.map(({ config, changes }) => {
    const all = flattenedSettings(config);
    for (const key of APART) all.delete(key);
    // Such a run is none of those that had its last settings from the start.
    if (changes.length > 0) all.set('changes', JSON.stringify(changes.map(describeChangesLine)));
    return all;
  });
  const members = new Map<string, number[]>();
  settings.forEach((all, run) => {
    const key = JSON.stringify([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
    members.set(key, [...(members.get(key) ?? []), run]);
  });
  const groups = [...members.values()].map((own): RunGroup => {
    const records = own.map((run) => runs[run] as RunRecord);
    return { runs: own, seeds: records.map(({ config }) => config.seed), results: spreadsOf(records) };
  });
  const first = groups.map(({ runs: [run = 0] }) => settings[run] as Map<string, string>);
  const keys = [...new Set(first.flatMap((all) => [...all.keys()]))];
  return {
    groups,
    settings: keys.flatMap((key) => {
      const values = first.map((all) => all.get(key));
      if (new Set(values).size === 1) return [];
      return [{ key, values: values.map((json) => (json === undefined ? undefined : (JSON.parse(json) as unknown))) }];
    }),
  };
}

/** Mean and deviation of some values; undefined for none. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const count = values.length;
  if (count === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : undefined, count };
}

function spreadsOf(records: readonly RunRecord[]): Record<string, Spread> {
  const all = records.map(resultsOf);
  const one = (name: string, of: (results: RunResults) => number | undefined): [string, Spread][] => {
    const spread = spreadOf(all.map(of).filter((value) => value !== undefined));
    return spread ? [[name, spread]] : [];
  };
  const metrics = [...new Set(all.flatMap(({ best }) => best?.metric ?? []))];
  return Object.fromEntries([
    ...one('steps', ({ step }) => step),
    ...one('loss', ({ loss }) => loss),
    ...metrics.flatMap((metric) => [
      ...one(`best ${metric}`, ({ best }) => (best?.metric === metric ? best.score : undefined)),
      ...one(`step of best ${metric}`, ({ best }) => (best?.metric === metric ? best.step : undefined)),
    ]),
    ...one('tokens/s', ({ tokensPerSecond }) => tokensPerSecond),
    ...one('peak bytes', ({ peakBytes }) => peakBytes),
  ]);
}
