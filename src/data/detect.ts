import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../util/errors.js';
import { readError } from '../util/read-error.js';
import { isOwnFile, OWN_ENDINGS } from './record-files.js';

/** The kinds of dataset that are told apart by what lies in their folder. */
export const DATASET_KINDS = ['sni', 'p3', 'own'] as const;

export type DatasetKind = (typeof DATASET_KINDS)[number];

/**
 * What kind of dataset a path is: a folder `sni` where there are tasks/ and splits/, `p3` where there are templates.json
 * and splits.json, `own` where files of records are; such a file is `own` too.
 *
 * @throws HintError NOT_FOUND when it is neither, or is not there
 */
export async function detectDatasetKind(directory: string): Promise<DatasetKind> {
  const has = async (name: string): Promise<boolean> =>
    stat(join(directory, name)).then(
      () => true,
      () => false,
    );
  if ((await has('templates.json')) && (await has('splits.json'))) return 'p3';
  if ((await has('tasks')) && (await has('splits'))) return 'sni';
  if (await holdsOwn(directory)) return 'own';
  await stat(directory).catch((cause: unknown) => {
    throw readError(directory, cause);
  });
  throw new HintError(
    'NOT_FOUND',
    `${directory} is no dataset that is known: Super-NaturalInstructions has the folders tasks/ and splits/, P3 has templates.json and splits.json, own data are files of records (${OWN_ENDINGS}). Check the path, or name the kind.`,
  );
}

/** Whether a path is a file of records, or a folder with one. */
async function holdsOwn(path: string): Promise<boolean> {
  const status = await stat(path).catch(() => undefined);
  if (!status?.isDirectory()) return status !== undefined && isOwnFile(path);
  const { glob } = await import('tinyglobby');
  const inside = await glob('**', { cwd: path, onlyFiles: true }).catch(() => []);
  return inside.some(isOwnFile);
}

/** @throws HintError INVALID_ARGUMENT unless it is the name of a kind */
export function checkDatasetKind(kind: string): DatasetKind {
  const found = DATASET_KINDS.find((known) => known === kind);
  if (found) return found;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no kind of dataset ${JSON.stringify(kind)}; there are ${DATASET_KINDS.join(', ')}.`,
  );
}
