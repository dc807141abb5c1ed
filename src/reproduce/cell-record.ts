import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { check, listOf } from '../util/check.js';
import { HintError } from '../util/errors.js';
import { readJson } from '../util/read-file.js';
import { recordOf } from '../util/record-schema.js';
import type { CellScore } from './evaluate-cell.js';
import type { PlannedCell } from './plan.js';

const result = z.looseObject({
  score: z.number(),
  exactMatch: z.number().optional(),
  instances: z.int().min(0),
  flopsPer100: z.number().optional(),
  datasets: recordOf(z.number()).optional(),
  prompts: listOf(
    z.looseObject({ dataset: z.string(), template: z.string(), accuracy: z.number() }),
  ).optional(),
  chosen: z
    .looseObject({
      settings: recordOf(z.unknown()),
      steps: z.number(),
      metric: z.string(),
      score: z.number(),
      of: z.number(),
    })
    .optional(),
  chance: z.number().optional(),
});
const recordSchema = z.looseObject({ version: z.literal(1), result });

/** The record of a cell that is done, in its folder. */
export function recordFile(folder: string): string {
  return join(folder, 'cell.json');
}

/**
 * The result of a finished cell; its folder's name stands for its configuration. Records of version 0.1.0 have no prompts: a cell of P3 is
 * then evaluated again.
 *
 * @returns undefined where there is none
 * @throws HintError INVALID_DATA naming the field, INVALID_JSON, IO
 */
export async function readRecord({
  folder,
  config,
}: Pick<PlannedCell, 'folder' | 'config'>): Promise<CellScore | undefined> {
  const file = recordFile(folder);
  if (!existsSync(file)) return undefined;
  const record = await readJson(file, 'the record of the cell');
  const { faults } = check(recordSchema, record);
  if (faults) {
    const [{ path, message }] = faults;
    const field = path.length > 0 ? `field ${path.join('.')}` : 'the whole file';
    throw new HintError(
      'INVALID_DATA',
      `${file} is no record of a cell: ${field} ${message}. Delete it, and the cell is evaluated again.`,
    );
  }
  const found = (record as { result: CellScore }).result;
  return config.data.kind === 'p3' && found.prompts === undefined ? undefined : found;
}
