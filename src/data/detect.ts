import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../util/errors.js';

/** The kinds of dataset that are told apart by what lies in their folder. */
export const DATASET_KINDS = ['sni', 'p3'] as const;

export type DatasetKind = (typeof DATASET_KINDS)[number];

/**
 * What kind of dataset a folder holds: `sni` where there are tasks/ and splits/, `p3` where there are templates.json
 * and splits.json.
 *
 * @throws HintError NOT_FOUND when it is neither
 */
export async function detectDatasetKind(directory: string): Promise<DatasetKind> {
  const has = async (name: string): Promise<boolean> =>
    stat(join(directory, name)).then(
      () => true,
      () => false,
    );
  if ((await has('templates.json')) && (await has('splits.json'))) return 'p3';
  if ((await has('tasks')) && (await has('splits'))) return 'sni';
  throw new HintError(
    'NOT_FOUND',
    `${directory} is no dataset that is known: Super-NaturalInstructions has the folders tasks/ and splits/, P3 has templates.json and splits.json. Check the path, or name the kind.`,
  );
}

/** @throws HintError INVALID_ARGUMENT unless it is the name of a kind */
export function checkDatasetKind(kind: string): DatasetKind {
  const found = DATASET_KINDS.find((known) => known === kind);
  if (found) return found;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no kind of dataset ${JSON.stringify(kind)}; there are ${DATASET_KINDS.join(' and ')}.`,
  );
}
