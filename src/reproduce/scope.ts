import { basename } from 'node:path';
import type { Grid } from './grid.js';
import type { CellOutcome } from './runner.js';
import type { ReproduceSettings } from './settings.js';

/** What the results of a table are of, in words: nobody should take a small run for the paper's. */
export interface Scope {
  /** As in `natural-instructions`. */
  readonly data: string;
  /** As in `demo-t5 (0.9 M parameters)`. */
  readonly models: string;
  /** As in `100 steps after 150 of pretraining`. */
  readonly steps: string;
  /** As in `10 instances of each unseen task`. */
  readonly evaluation: string;
  /** As in `seeds 0, 1`. */
  readonly seeds: string;
}

/** The scope of what was planned of a grid on data of a kind. */
export function scopeOf(
  cells: readonly CellOutcome[],
  settings: ReproduceSettings,
  dataset: Grid['dataset'],
): Scope {
  const distinct = <T>(of: (cell: CellOutcome) => T): T[] => [...new Set(cells.map(of))];
  const models = distinct(({ model, parameters }) =>
    parameters === undefined ? model : `${model} (${millions(parameters)} parameters)`,
  );
  const pretraining = distinct(({ pretrainingSteps }) => pretrainingSteps ?? 0).filter((steps) => steps > 0);
  const after = pretraining.length === 0 ? ', no pretraining' : ` after ${range(pretraining)} of pretraining`;
  const { seeds, evaluation } = settings;
  return {
    data: settings.dataName ?? basename(settings.data),
    models: models.join(', '),
    steps: `${counted(
      distinct(({ steps }) => steps),
      'step',
    )}${after}`,
    evaluation: `${counted([evaluation.instances], 'instance')} of each ${dataset === 'p3' ? 'prompt of unseen tasks' : 'unseen task'}`,
    seeds: `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`,
  };
}

/** The scope but for the data, in one line. */
export function scopeLine({ models, steps, evaluation, seeds }: Scope): string {
  return [models, steps, evaluation, seeds].join('; ');
}

/** Some numbers of a thing: `1 step`, `5 to 10 steps`. */
function counted(values: readonly number[], what: string): string {
  return `${range(values)} ${what}${values.every((value) => value === 1) ? '' : 's'}`;
}

function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const shown = (value: number): string => value.toLocaleString('en');
  return least === most ? shown(least) : `${shown(least)} to ${shown(most)}`;
}

/** A number of parameters for people: `0.9 M`, `2.8 B`. */
export function millions(count: number): string {
  return count < 1e9 ? `${(count / 1e6).toPrecision(2)} M` : `${(count / 1e9).toPrecision(2)} B`;
}
