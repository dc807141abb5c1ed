import { join } from 'node:path';
import { HintError, type HintErrorCode } from '../util/errors.js';
import { removeDirectory } from '../util/atomic-directory.js';
import { readRun } from '../training/runs/read-run.js';
import { runSweep, type SweepPlan } from '../training/runs/sweep.js';
import type { ChosenSettings } from './evaluate-cell.js';
import type { RunGridOptions } from './run-options.js';

/** What was best, and the model of its best validation. */
export interface SearchedModel {
  readonly model: string;
  readonly chosen: ChosenSettings;
}

/**
 * Trains every combination of a search and takes the one with the best validation. Trainings that are there are not repeated; those that
 * fail are told of and passed over.
 *
 * @returns undefined where a signal stopped it
 * @throws HintError that of a training, where none has a score; as runSweep
 */
export async function searchBest(
  search: SweepPlan,
  label: string,
  { signal, onEvent, ranks }: RunGridOptions,
): Promise<SearchedModel | undefined> {
  const { metric, ranking, interrupted } = await runSweep(search, {
    signal,
    ranks,
    onEvent: (event) =>
      event.kind === 'training'
        ? onEvent?.({ kind: 'run', stage: 'training', label, event: event.event })
        : onEvent?.({ kind: 'search', label, event }),
  });
  if (interrupted) return undefined;
  const [best] = ranking;
  const [run] = best?.runs ?? [];
  if (!best?.score || !run) {
    const [failed] = ranking.flatMap(({ runs }) => runs.flatMap(({ error }) => error ?? []));
    throw new HintError(
      (failed?.code ?? 'INTERNAL') as HintErrorCode,
      `None of the ${search.runs.length} trainings of ${label} has a score by validation${failed ? `; the first says: ${failed.message}` : '.'}`,
    );
  }
  const { config } = await readRun(run.path);
  return {
    model: join(run.path, 'best'),
    chosen: {
      settings: best.settings,
      steps: config.steps,
      metric,
      score: best.score.mean,
      of: search.runs.length,
    },
  };
}

/** Deletes the checkpoints of a search, and all models but the chosen one. @throws HintError IO */
export async function removeOthers({ runs }: SweepPlan, model: string): Promise<void> {
  for (const { config } of runs)
    for (const name of ['checkpoints', 'model', 'best']) {
      const folder = join(config.output, name);
      if (folder !== model) await removeDirectory(folder);
    }
}
