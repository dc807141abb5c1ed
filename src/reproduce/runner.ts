import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../util/errors.js';
import { trainFromConfig } from '../training/run/run.js';
import type { TrainingEvent } from '../training/run/events.js';
import { removeDirectory } from '../util/atomic-directory.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { check } from '../util/check.js';
import { readJson } from '../util/read-file.js';
import { makeFolder } from '../util/write-error.js';
import { evaluateCell, type CellScore } from './evaluate-cell.js';
import type { Grid, GridCell, PaperSize } from './grid.js';
import { planCells, type PlannedCell, type PlannedRun } from './plan.js';
import type { ReproduceSettings } from './settings.js';

/** What became of a cell. */
export interface CellOutcome {
  readonly cell: GridCell;
  readonly model: string;
  readonly size: PaperSize | undefined;
  readonly seed: number;
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

/** What a grid tells while it runs. */
export type GridEvent =
  | {
      kind: 'cell';
      state: 'started' | 'skipped' | 'finished' | 'failed';
      index: number;
      total: number;
      label: string;
      result?: CellScore;
      error?: unknown;
    }
  | { kind: 'run'; stage: 'pretraining' | 'training'; label: string; event: TrainingEvent }
  | { kind: 'evaluating'; label: string; done: number; total: number };

/** How a grid is run. */
export interface RunGridOptions {
  /** Aborting saves the run under way and returns what there is, as interrupted. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: GridEvent) => void) | undefined;
}

/**
 * Runs a grid: pretrains, trains and evaluates one cell after another. A cell whose record is there is skipped; one that
 * was stopped goes on where it was; one that fails is reported, and the others have their turn.
 *
 * Below the output, `cells/ID/` and `pretrained/ID/` hold a run directory `run/`, and a record of the whole configuration
 * and the result. The id is a hash of all a result depends on, so a changed configuration is another cell.
 *
 * @throws HintError as {@link planCells}, before anything is run
 */
export async function runGrid(
  grid: Grid,
  settings: ReproduceSettings,
  options: RunGridOptions = {},
): Promise<GridResult> {
  const { signal, onEvent } = options;
  const planned = await planCells(grid, settings);
  const pretrained = new Pretrained(options);
  const cells: CellOutcome[] = [];
  for (const [i, one] of planned.entries()) {
    const { cell, model, size, seed, folder } = one;
    const place = { cell, model, size, seed, folder };
    if (signal?.aborted) {
      cells.push({ ...place, status: 'pending' });
      continue;
    }
    const told = {
      kind: 'cell',
      index: i + 1,
      total: planned.length,
      label: labelOf(one, settings),
    } as const;
    try {
      const before = await readRecord(folder);
      if (!before) onEvent?.({ ...told, state: 'started' });
      const result = before ?? (await runCell(one, told.label, pretrained, options));
      onEvent?.({ ...told, state: before ? 'skipped' : 'finished', result });
      cells.push({ ...place, status: 'done', result });
    } catch (error) {
      if (signal?.aborted && error instanceof HintError && error.code === 'ABORTED') {
        cells.push({ ...place, status: 'pending' });
        continue;
      }
      onEvent?.({ ...told, state: 'failed', error });
      const code = error instanceof HintError ? error.code : 'INTERNAL';
      const message = error instanceof Error ? error.message : String(error);
      cells.push({ ...place, status: 'failed', error: { code, message } });
    }
  }
  return { grid, cells, interrupted: cells.some(({ status }) => status === 'pending') };
}

async function runCell(
  planned: PlannedCell,
  label: string,
  pretrained: Pretrained,
  { signal, onEvent }: RunGridOptions,
): Promise<CellScore> {
  if (planned.pretraining) await pretrained.need(planned.pretraining, label);
  const model = await runToModel(planned, { signal, onEvent }, 'training', label);
  const result = await evaluateCell(planned, model, {
    signal,
    onProgress: (done, total) => onEvent?.({ kind: 'evaluating', label, done, total }),
  });
  const { config, evaluation, pretraining } = planned;
  const record = { version: 1, result, evaluation, config, pretraining: pretraining?.config };
  await writeFileAtomic(recordFile(planned.folder), `${JSON.stringify(record, null, 2)}\n`);
  await removeDirectory(join(config.output, 'checkpoints'));
  return result;
}

/** Pretrainings that cells share: each is run once, and one that fails fails every cell that needs it. */
class Pretrained {
  private readonly runs = new Map<string, Promise<string>>();

  constructor(private readonly options: RunGridOptions) {}

  need(planned: PlannedRun, label: string): Promise<string> {
    let run = this.runs.get(planned.id);
    if (!run) this.runs.set(planned.id, (run = runToModel(planned, this.options, 'pretraining', label)));
    return run;
  }
}

/** The model of a run that is there already, goes on, or starts. */
async function runToModel(
  { config }: PlannedRun,
  { signal, onEvent }: RunGridOptions,
  stage: 'pretraining' | 'training',
  label: string,
): Promise<string> {
  const model = join(config.output, 'model');
  if (existsSync(model)) return model;
  await makeFolder(config.output);
  const summary = await trainFromConfig(config, {
    resume: existsSync(join(config.output, 'config.json')),
    signal,
    onEvent: (event) => onEvent?.({ kind: 'run', stage, label, event }),
  });
  if (summary.status === 'stopped')
    throw new HintError('ABORTED', `${label} was stopped at step ${summary.step} of ${summary.steps}.`);
  if (stage === 'pretraining') await removeDirectory(join(config.output, 'checkpoints'));
  return model;
}

function recordFile(folder: string): string {
  return join(folder, 'cell.json');
}

const recordSchema = z.looseObject({ version: z.literal(1), result: z.looseObject({ score: z.number() }) });

/** The result of a finished cell; its folder's name stands for its configuration. */
async function readRecord(folder: string): Promise<CellScore | undefined> {
  const file = recordFile(folder);
  if (!existsSync(file)) return undefined;
  const record = await readJson(file, 'the record of the cell');
  const { data } = check(recordSchema, record);
  if (data) return (record as { result: CellScore }).result;
  throw new HintError(
    'INVALID_DATA',
    `${file} is no record of a cell; delete it, and the cell is evaluated again.`,
  );
}

/** How a cell is called in progress lines. */
function labelOf({ cell, model, seed }: PlannedCell, { models, seeds }: ReproduceSettings): string {
  const where = models.length > 1 ? `, ${model}` : '';
  const which = seeds.length > 1 ? `, seed ${seed}` : '';
  return `${cell.row}, ${cell.column}${where}${which}`;
}
