import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  checkReport,
  findGrid,
  GRIDS,
  writeReport,
  type CellOutcome,
  type GridResult,
} from '../../src/reproduce/index.js';
import { figuresOf, promptsOf } from '../../src/reproduce/summary.js';
import { datasetName, PRINTED_T0, T0_DATASETS } from '../../src/reproduce/t0-accuracy.js';
import { MADE, tinySettings } from './settings.js';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-datasets-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const PROMPTS = [
  ['super_glue_rte', 'does it follow', 60],
  ['super_glue_rte', 'can we infer', 70],
  ['anli_r1', 'does it follow', 30],
  ['made_up', 'guess | twice', 50],
] as const;

/** A grid whose cells have all the same score. */
function resultOf(
  name: string,
  size: CellOutcome['size'] = '3B',
  seeds: readonly number[] = [0],
): GridResult {
  const grid = findGrid(name);
  const result = {
    score: 48.3,
    instances: 4,
    datasets: { made_up: 50, super_glue_rte: 65, anli: 30 },
    prompts: PROMPTS.map(([dataset, template, accuracy]) => ({ dataset, template, accuracy })),
  };
  const place = { model: 'm', size, steps: 1, folder: scratch, status: 'done' as const };
  return {
    grid,
    cells: grid.cells.flatMap((cell) => seeds.map((seed) => ({ ...place, cell, seed, result }))),
    interrupted: false,
  };
}

const report = async (name: string): Promise<string> => {
  const [, file = ''] = await writeReport(resultOf(name), tinySettings(scratch), MADE);
  return readFile(file, 'utf8');
};

it('the printed accuracies by data set have the printed averages', () => {
  for (const sizes of Object.values(PRINTED_T0))
    for (const { average, datasets } of Object.values(sizes)) {
      const values = T0_DATASETS.map(([name]) => datasets[name] as number);
      expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(average, 0);
      expect(Object.keys(datasets)).toHaveLength(9);
    }
  expect(PRINTED_T0.again['3B'].average).toBe(findGrid('table2').cells[0]?.paper?.['3B']);
});

it('data sets have the names of the paper, and others keep their own', () => {
  const files = ['anli', 'anli_r2', 'story_cloze_2016', 'super_glue_wsc.fixed', 'winogrande_winogrande_xl'];
  expect(files.map(datasetName)).toEqual(['ANLI', 'ANLI', 'StoryCloze', 'WSC', 'WinoGrande']);
  expect(['winogrande_winogrande_debiased', 'glue_rte', 'constructor'].map(datasetName)).toEqual([
    'winogrande_winogrande_debiased',
    'glue_rte',
    'constructor',
  ]);
});

describe('a table by data set', () => {
  it('has every data set in the order of the paper, then their average, beside what is printed', () => {
    const figures = figuresOf(resultOf('table9')).filter(({ row }) => row === 'T0');
    expect(figures.map(({ column, score, paper }) => [column, score, paper['3B']])).toEqual([
      ['ANLI', 30, 41.7],
      ['RTE', 65, 81.2],
      ['made_up', 50, undefined],
      ['average', 48.3, 64.4],
    ]);
  });

  it('has a line for each system and one below it for the paper, and those of T0 as released', async () => {
    const markdown = await report('table9');
    expect(markdown).toContain('| system | accuracy | ANLI | RTE | made\\_up | average | average than T0 |');
    expect(markdown).toContain('| T0 | here | 30.0 | 65.0 | 50.0 | 48.3 |  |');
    expect(markdown).toContain('| T0 | paper, 3B | 41.7 | 81.2 |  | 64.4 |  |');
    expect(markdown).toContain('| HINT (Split) | here | 30.0 | 65.0 | 50.0 | 48.3 | +0.0, too few seeds |');
    expect(markdown).toContain('| HINT (Split) | paper, 3B |  |  |  | 60.3 |  |');
    expect(markdown).toContain('| T0 as released | paper, 3B | 33.4 | 64.6 |  | 55.2 |  |');
  });
});

it('is drawn beside what is printed of its data sets, not beside averages alone', async () => {
  await report('table9');
  const svg = await readFile(join(scratch, 'table9.svg'), 'utf8');
  expect(svg).toContain('T0, as printed for 3B');
  expect(svg).toContain('T0 as released, as printed for 3B');
  expect(svg).not.toContain('HINT (Split), as printed');
});

describe('accuracy by prompt', () => {
  it('is the mean over seeds, by data set', () => {
    expect(promptsOf(resultOf('figure5', '3B', [0, 1])).map(({ dataset, template, accuracy, seeds }) => [dataset, template, accuracy, seeds])).toEqual([
      ['ANLI', 'does it follow', 30, 2],
      ['RTE', 'does it follow', 60, 2],
      ['RTE', 'can we infer', 70, 2],
      ['made_up', 'guess | twice', 50, 2],
    ]); // prettier-ignore
  });

  it('is drawn as a dot each, and listed', async () => {
    const markdown = await report('figure5');
    expect(markdown).toContain('| made\\_up | guess \\| twice | 50.0 | 1 |');
    expect(markdown).not.toContain('What the paper says');
    const svg = await readFile(join(scratch, 'figure5.svg'), 'utf8');
    // One in the legend.
    expect(svg.match(/<circle/g)).toHaveLength(PROMPTS.length + 1);
    expect(svg.match(/stroke-dasharray="4 3"/g)).toHaveLength(2);
  });
});

it.each(GRIDS.map(({ name }) => name))('the report of %s may be replaced by a later one', async (name) => {
  await report(name);
  await checkReport(findGrid(name), scratch);
});

it('a report without a result leaves no picture of an earlier one', async () => {
  const done = resultOf('table9');
  const settings = tinySettings(join(scratch, 'pictures'));
  expect(await writeReport(done, settings, MADE)).toHaveLength(4);
  const cells = done.cells.map(({ cell, model, size, seed, steps, folder }): CellOutcome => ({
    cell,
    model,
    size,
    seed,
    steps,
    folder,
    status: 'pending',
  }));
  expect(await writeReport({ ...done, cells }, settings, MADE)).toHaveLength(2);
  expect((await readdir(settings.output)).sort()).toEqual(['table9.json', 'table9.md']);
});
