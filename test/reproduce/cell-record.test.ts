import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRecord } from '../../src/reproduce/cell-record.js';
import { planCells, type PlannedCell } from '../../src/reproduce/plan.js';
import { TINY_GRID, tinySettings } from './settings.js';

let scratch: string, cell: PlannedCell;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-cell-record-'));
  cell = (await planCells(TINY_GRID, tinySettings(scratch)))[2] as PlannedCell;
  await mkdir(cell.folder, { recursive: true });
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const RESULT = {
  score: 25,
  instances: 4,
  datasets: { rte: 25 },
  prompts: [{ dataset: 'rte', template: 'a', accuracy: 25 }],
};
const write = (text: string): Promise<void> => writeFile(join(cell.folder, 'cell.json'), text);

describe('the record of a cell', () => {
  it('is its result, and is nothing where there is none', async () => {
    expect(await readRecord(cell)).toBeUndefined();
    await write(JSON.stringify({ version: 1, result: RESULT, config: {} }));
    expect(await readRecord(cell)).toEqual(RESULT);
  });

  it.each([
    ['score', { ...RESULT, score: '25' }],
    ['score', { ...RESULT, score: null }],
    ['instances', { ...RESULT, instances: -1 }],
    ['flopsPer100', { ...RESULT, flopsPer100: 'many' }],
    ['datasets', { ...RESULT, datasets: 'x' }],
    ['datasets.rte', { ...RESULT, datasets: { rte: [] } }],
    ['prompts', { ...RESULT, prompts: 5 }],
    ['prompts.0.accuracy', { ...RESULT, prompts: [{ dataset: 'rte', template: 'a' }] }],
    ['chosen', { ...RESULT, chosen: 'the first' }],
  ])('with a wrong %s is refused, and the field named', async (field, result) => {
    await write(JSON.stringify({ version: 1, result }));
    await expect(readRecord(cell)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(
        new RegExp(
          `cell\\.json is no record of a cell: field result\\.${field.replaceAll('.', '\\.')} .* evaluated again\\.$`,
        ),
      ) as string,
    });
  });
});
