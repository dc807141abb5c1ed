import { stat } from 'node:fs/promises';
import { readSniTaskNames, sniTaskFile, type SniSplit } from '../data/natural-instructions/tasks.js';
import { p3Files, readP3Templates } from '../data/p3/format.js';
import type { TrainingConfig } from '../training/config/config.js';
import { readError } from '../util/read-error.js';

/**
 * Checks that the files are there with which cells are trained and evaluated. Otherwise their want would be told after the
 * pretraining, or after the training.
 *
 * @throws HintError NOT_FOUND, INVALID_DATA, INVALID_JSON, IO
 */
export async function checkData(configs: readonly Pick<TrainingConfig, 'data'>[]): Promise<void> {
  const checked = new Set<string>();
  for (const { data } of configs) {
    const shown = data.kind === 'p3' && data.shots > 0 ? (['fewshot'] as const) : [];
    const key = JSON.stringify([data.kind === 'sni' ? data.track : shown]);
    if (checked.has(key)) continue;
    checked.add(key);
    if (data.kind === 'sni') await checkTasks(data.directory, ['train', 'test'], data.track);
    if (data.kind !== 'p3') continue;
    await readP3Templates(data.directory);
    for (const split of ['train', 'eval', ...shown] as const) await p3Files(data.directory, split);
  }
}

/** Checks that the files are there of all tasks that splits list. @throws HintError NOT_FOUND, INVALID_DATA, IO */
export async function checkTasks(
  directory: string,
  splits: readonly SniSplit[],
  track?: string,
): Promise<void> {
  for (const split of splits)
    for (const name of await readSniTaskNames(directory, split, track)) {
      const file = sniTaskFile(directory, name);
      await stat(file).catch((cause: unknown) => {
        throw readError(file, cause, 'the task file');
      });
    }
}
