import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findGrid, GRIDS, selectCells } from '../../src/reproduce/index.js';
import { planCells } from '../../src/reproduce/plan.js';
import { placesOf } from '../../src/reproduce/claim.js';
import { findSystem } from '../../src/systems/index.js';
import { FIXTURES } from '../training/tiny.js';
import { TINY_GRID, tinySettings } from './settings.js';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-plan-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('the tables', () => {
  it('name what there is when asked for what there is not', () => {
    expect(() => findGrid('table7')).toThrow(/no table "table7"; choose one of table1, .*figure3, figure4/);
  });

  it.each(GRIDS.map((grid) => [grid.name, grid] as const))(
    '%s has systems and settings that there are, and claims about its own cells',
    async (_name, grid) => {
      const settings = { ...tinySettings(scratch), data: join(FIXTURES, grid.dataset), training: {} };
      const planned = await planCells(grid, settings);
      expect(new Set(planned.map(({ id }) => id)).size).toBe(planned.length);
      for (const { cell, config } of planned) {
        const system = findSystem(cell.system);
        if (config.data.kind === 'p3') system.p3Setting({ form: config.data.form, shots: config.data.shots });
        expect(system.hypernetwork !== undefined || cell.pretraining === undefined).toBe(true);
      }
      const places = new Set(grid.cells.map(({ row, column }) => `${row}/${column}`));
      const rows = new Set(grid.cells.map(({ row }) => row));
      for (const claim of grid.claims) {
        for (const place of placesOf(claim)) expect(places).toContain(place.join('/'));
        if (claim.kind === 'atEqualCost')
          expect([...rows]).toEqual(expect.arrayContaining([claim.row, claim.over]));
      }
      expect(await readdir(scratch)).toEqual([]);
    },
  );

  it('can be run in part, with the orderings that are left', () => {
    const part = selectCells(findGrid('table1'), { rows: ['HINT', 'No-Instruct'], columns: ['Def'] });
    expect(part.cells.map(({ row, column }) => `${row}/${column}`)).toEqual(['No-Instruct/Def', 'HINT/Def']);
    expect(part.claims.map(({ says }) => says)).toEqual(['HINT above No-Instruct']);
    expect(selectCells(findGrid('figure3'), { rows: ['HINT'] }).claims.map(({ kind }) => kind)).toEqual([
      'above',
      'above',
      'cost',
      'gain',
    ]);
    expect(() => selectCells(part, { rows: ['Hint'] })).toThrow(/no row "Hint"; there are No-Instruct, HINT/);
  });

  it('share cells and pretrainings that they have in common', async () => {
    const settings = tinySettings(scratch);
    const ids = async (name: string): Promise<string[]> =>
      (await planCells(findGrid(name), settings)).map(({ id }) => id);
    const [one, four, six] = [await ids('table1'), await ids('table4'), await ids('table6')];
    expect(six.filter((id) => one.includes(id) || four.includes(id))).toHaveLength(2);
  });
});

describe('decoder-only rows', () => {
  const gpt2 = {
    label: 'tiny gpt2',
    init: { config: { model_type: 'gpt2', vocab_size: 330, n_embd: 16, n_layer: 1, n_head: 2 } },
    tokenizer: join(FIXTURES, 'bpe-tokenizer'),
  };

  it('start from a model of their family, with its optimiser and not T5’s, or are left out', async () => {
    const settings = { ...tinySettings(scratch), steps: undefined };
    const training = { ...settings.training, learningRate: 0.5, schedule: 'constant' };
    const table1 = findGrid('table1');
    const without = await planCells(table1, settings);
    expect(without.some(({ cell }) => cell.system === 'gpt2')).toBe(false);
    const planned = await planCells(table1, {
      ...settings,
      training,
      decoders: { gpt2 },
      decoderTraining: { warmupSteps: 7 },
    });
    const own = planned.filter(({ cell }) => cell.row === 'GPT-2');
    expect(own.map(({ cell, model }) => [cell.column, model])).toEqual([
      ['Def', 'tiny gpt2'],
      ['Def + 2 Pos', 'tiny gpt2'],
    ]);
    expect(own[0]?.config).toMatchObject({
      learningRate: 2e-5,
      schedule: 'linear',
      warmupSteps: 7,
      steps: 7070,
      batchSize: 4,
      optimizer: { name: 'adamw' },
    });
    expect(planned).toHaveLength(without.length + 2);
  });

  it('cannot be asked for alone without one', async () => {
    const only = selectCells(findGrid('table1'), { rows: ['GPT-2'] });
    await expect(planCells(only, tinySettings(scratch))).rejects.toThrow(
      /GPT-2 of table1 start from a decoder-only/,
    );
  });
});

describe('settings', () => {
  it.each([
    ['no text', { text: [] }, /pretrains hypernetworks, but there is no text/],
    ['no data', { data: '/nowhere' }, /Cannot read the data, \/nowhere/],
    ['no seed', { seeds: [] }, /no seed/],
    [
      'a system for every row',
      { training: { system: 'lora' } },
      /^system is what tiny sets for each of its cells/,
    ],
    [
      'one form for every column',
      { training: { data: { positives: 2 } } },
      /^data\.positives is what tiny sets for each/,
    ],
    [
      'another objective for every row',
      { pretraining: { data: { objective: 'caclm' } } },
      /^data\.objective is what tiny sets for each/,
    ],
    ['an unknown setting', { training: { bachSize: 3 } }, /bachSize is unknown; did you mean batchSize/],
  ])('with %s are refused before anything runs', async (_what, change, message) => {
    await expect(planCells(TINY_GRID, { ...tinySettings(scratch), ...change })).rejects.toThrow(message);
  });

  it('leave pretraining out when asked to, but not where it is what is compared', async () => {
    const settings = { ...tinySettings(scratch), pretrainSteps: 0, text: [] };
    expect((await planCells(TINY_GRID, settings)).every((one) => one.pretraining === undefined)).toBe(true);
    await expect(planCells(findGrid('table4'), settings)).rejects.toThrow(/compares ways to pretrain/);
  });
});
