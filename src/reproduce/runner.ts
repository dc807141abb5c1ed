import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { doneOnce, foundOnce, isAnyAborted, isOfAllRanks } from '../distributed/agreement.js';
import { HintError } from '../util/errors.js';
import { sha256Hex } from '../util/hash.js';
import { trainFromConfig } from '../training/run/run.js';
import { removeDirectory } from '../util/atomic-directory.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { makeFolder } from '../util/write-error.js';
import { readRecord, recordFile } from './cell-record.js';
import { evaluateCell, type CellScore, type ChosenSettings } from './evaluate-cell.js';
import type { Grid, GridCell } from './grid.js';
import type { PaperSize } from './paper-size.js';
import type { GridEvent, RunGridOptions } from './run-options.js';
import { removeOthers, searchBest } from './search.js';
import { planCells, type PlannedCell, type PlannedRun } from './plan.js';
import type { ReproduceSettings } from './settings.js';

/** What became of a cell. */
export interface CellOutcome {
  readonly cell: GridCell;
  readonly model: string;
  readonly size: PaperSize | undefined;
  readonly seed: number;
  /** Updates of its training, */
  readonly steps: number;
  /** and of its hypernetwork's pretraining, where it has one. */
  readonly pretrainingSteps?: number | undefined;
  /** Of the model that it starts from, where that is known before it is opened. */
  readonly parameters?: number | undefined;
  readonly folder: string;
  /** `pending`: stopped before its turn was over; what it has is kept. */
  readonly status: 'done' | 'failed' | 'pending';
  readonly result?: CellScore;
  readonly error?: { readonly code: string; readonly message: string };
}

/** A grid as far as it has been run. */
export interface GridResult {
  readonly grid: Grid;
  readonly cells: readonly CellOutcome[];
  /** Whether the signal ended it before all cells had their turn. */
  readonly interrupted: boolean;
}

/**
 * Runs a grid: pretrains, trains and evaluates one cell after another. A cell whose record is there is skipped; one that
 * was stopped goes on where it was; one that fails is reported, and the others have their turn.
 *
 * Below the output, `cells/ID/` and `pretrained/ID/` hold a run directory `run/`, and a record of the whole configuration
 * and the result. The id is a hash of all a result depends on, so a changed configuration is another cell.
 *
 * @throws HintError as {@link planCells}, before anything is run; INVALID_CONFIG where ranks have different grids;
 *   among ranks, what a cell throws
 */
export async function runGrid(
  grid: Grid,
  settings: ReproduceSettings,
  options: RunGridOptions = {},
): Promise<GridResult> {
  const { ranks } = options;
  const planned = await planCells(grid, settings);
  await ranks?.requireSame(
    {
      'the number of cells': planned.length,
      'the digest of the cells': sha256Hex(JSON.stringify(planned.map(({ folder }) => folder))).slice(0, 16),
    },
    'start all of them alike, with the same models and data.',
  );
  const pretrained = new Pretrained(options);
  const cells: CellOutcome[] = [];
  for (const [i, one] of planned.entries()) {
    const label = labelOf(one, settings);
    const told = { kind: 'cell', index: i + 1, total: planned.length, label } as const;
    cells.push(await outcomeOf(one, told, pretrained, options));
  }
  return { grid, cells, interrupted: cells.some(({ status }) => status === 'pending') };
}

async function outcomeOf(
  planned: PlannedCell,
  told: Omit<Extract<GridEvent, { kind: 'cell' }>, 'state'>,
  pretrained: Pretrained,
  options: RunGridOptions,
): Promise<CellOutcome> {
  const { signal, onEvent, ranks } = options;
  const { cell, model, size, seed, folder, parameters } = planned;
  const [steps, pretrainingSteps] = [planned.config.steps, planned.pretraining?.config.steps];
  const place = { cell, model, size, parameters, seed, steps, pretrainingSteps, folder };
  if (await isAnyAborted(ranks, signal)) return { ...place, status: 'pending' };
  let isTraining = true;
  try {
    const before = await foundOnce(
      ranks,
      async () => (await readRecord(planned)) ?? null,
      'learn which cells are done',
    );
    if (!before) onEvent?.({ ...told, state: 'started' });
    const trained = before ? undefined : await trainCell(planned, told.label, pretrained, options);
    if (!before && trained === undefined) return { ...place, status: 'pending' };
    isTraining = false;
    const result = before ?? (await scoreCell(planned, trained as TrainedCell, told.label, options));
    onEvent?.({ ...told, state: before ? 'skipped' : 'finished', result });
    return { ...place, status: 'done', result };
  } catch (error) {
    if (ranks && !(isTraining && isOfAllRanks(error))) throw error;
    if (signal?.aborted && error instanceof HintError && error.code === 'ABORTED')
      return { ...place, status: 'pending' };
    onEvent?.({ ...told, state: 'failed', error });
    const code = error instanceof HintError ? error.code : 'INTERNAL';
    const message = error instanceof Error ? error.message : String(error);
    return { ...place, status: 'failed', error: { code, message } };
  }
}

/** The model of a cell, and what was chosen for it where there was something to choose. */
interface TrainedCell {
  readonly model: string;
  readonly chosen?: ChosenSettings;
}

/** @returns undefined where a signal stopped what it needs */
async function trainCell(
  planned: PlannedCell,
  label: string,
  pretrained: Pretrained,
  options: RunGridOptions,
): Promise<TrainedCell | undefined> {
  const { pretraining, search } = planned;
  if (pretraining && (await pretrained.need(pretraining, label)) === undefined) return undefined;
  if (search) return searchBest(search, label, options);
  const model = await runToModel(planned, options, 'training', label);
  return model === undefined ? undefined : { model };
}

async function scoreCell(
  planned: PlannedCell,
  { model, chosen }: TrainedCell,
  label: string,
  { signal, onEvent, ranks }: RunGridOptions,
): Promise<CellScore> {
  const score = await evaluateCell(planned, model, {
    signal,
    onProgress: (done, total) => onEvent?.({ kind: 'evaluating', label, done, total }),
    ranks,
  });
  const { config, evaluation, pretraining, search } = planned;
  const result = { ...score, ...(chosen && { chosen }) };
  const record = { version: 1, result, evaluation, config, pretraining: pretraining?.config };
  const write = async (): Promise<void> => {
    await writeFileAtomic(recordFile(planned.folder), `${JSON.stringify(record, null, 2)}\n`);
    await removeDirectory(join(config.output, 'checkpoints'));
    if (search) await removeOthers(search, model);
  };
  await doneOnce(ranks, write, 'have the score of a cell written');
  return result;
}

/** Pretrainings that cells share: each is run once, and one that fails fails every cell that needs it. */
class Pretrained {
  private readonly runs = new Map<string, Promise<string | undefined>>();

  constructor(private readonly options: RunGridOptions) {}

  /** @returns the model; undefined where a signal stopped it */
  need(planned: PlannedRun, label: string): Promise<string | undefined> {
    let run = this.runs.get(planned.id);
    if (!run) this.runs.set(planned.id, (run = runToModel(planned, this.options, 'pretraining', label)));
    return run;
  }
}

/** The model of a run that is there already, goes on, or starts; undefined where a signal stopped it. */
async function runToModel(
  { config }: PlannedRun,
  { signal, onEvent, ranks }: RunGridOptions,
  stage: 'pretraining' | 'training',
  label: string,
): Promise<string | undefined> {
  const model = join(config.output, 'model');
  const state = async (): Promise<{ isDone: boolean; isBegun: boolean }> => {
    const isDone = existsSync(model);
    if (!isDone) await makeFolder(config.output);
    return { isDone, isBegun: existsSync(join(config.output, 'config.json')) };
  };
  const { isDone, isBegun } = await foundOnce(ranks, state, 'learn how far a run is');
  if (isDone) return model;
  const { status } = await trainFromConfig(config, {
    resume: isBegun,
    signal,
    onEvent: (event) => onEvent?.({ kind: 'run', stage, label, event }),
    ranks,
  });
  if (status === 'stopped') return undefined;
  // Before the others look for the model.
  const clean = async (): Promise<void> => {
    if (stage === 'pretraining') await removeDirectory(join(config.output, 'checkpoints'));
  };
  await doneOnce(ranks, clean, 'have a model written');
  return model;
}

/** How a cell is called in progress lines. */
function labelOf({ cell, model, seed }: PlannedCell, { models, seeds }: ReproduceSettings): string {
  const where = models.length > 1 ? `, ${model}` : '';
  const which = seeds.length > 1 ? `, seed ${seed}` : '';
  return `${cell.row}, ${cell.column}${where}${which}`;
}
