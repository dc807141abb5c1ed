import { HintError } from '../util/errors.js';
import type { Grid } from './grid.js';
import type { ReproduceSettings } from './settings.js';

/** What a grid decides for every cell, and options of its own decide for all of them. */
const DECIDED = [
  ['system'],
  ['seed'],
  ['output'],
  ['model', 'init'],
  ['data', 'kind'],
  ['data', 'directory'],
  ['data', 'files'],
  ['data', 'objective'],
  ['data', 'positives'],
  ['data', 'form'],
  ['data', 'shots'],
] as const;

/** @throws HintError INVALID_ARGUMENT for settings that do not fit the grid */
export function checkSettings(grid: Grid, settings: ReproduceSettings): void {
  const { text, pretrainSteps, seeds, models } = settings;
  const wrong = (message: string): HintError => new HintError('INVALID_ARGUMENT', message);
  for (const overrides of [settings.training, settings.pretraining, settings.decoderTraining]) {
    const decided = DECIDED.find((path) => has(overrides, path));
    if (decided)
      throw wrong(
        `${decided.join('.')} is what ${grid.name} sets for each of its cells, so it cannot be overridden for all of them; leave it out.`,
      );
  }
  if (models.length === 0) throw wrong('There is no model to start from; give at least one.');
  if (seeds.length === 0) throw wrong('There is no seed; give at least one, such as 0.');
  const pretrains = grid.cells.some(({ pretraining }) => pretraining !== undefined);
  if (grid.comparesPretraining && pretrainSteps === 0)
    throw wrong(
      `${grid.name} compares ways to pretrain, so 0 pretraining steps leave nothing of it; give more.`,
    );
  if (pretrains && pretrainSteps !== 0 && text.length === 0)
    throw wrong(
      `${grid.name} pretrains hypernetworks, but there is no text; name text files, or give 0 pretraining steps to leave that out.`,
    );
}

/** Whether settings say something at a path of keys. */
export function has(settings: unknown, [key = '', ...rest]: readonly string[]): boolean {
  if (typeof settings !== 'object' || settings === null || !Object.hasOwn(settings, key)) return false;
  return rest.length === 0 || has((settings as Record<string, unknown>)[key], rest);
}
