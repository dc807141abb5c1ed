import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
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
    expect(() => findGrid('table7')).toThrow(
      /no table "table7"; choose one of table1, figure3, table2, .*table10, figure5, figure4/,
    );
  });

  it.each(GRIDS.map((grid) => [grid.name, grid] as const))(
    '%s has systems and settings that there are, and claims about its own cells',
    async (_name, grid) => {
      const settings = {
        ...tinySettings(scratch),
        data: join(FIXTURES, grid.dataset),
        pretrainSteps: 4,
        training: {},
      };
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

describe('data that are not there', () => {
  const planned = (name: string, data: string) =>
    planCells(findGrid(name), { ...tinySettings(scratch), data, training: {} });

  it.each([
    ['table1', 'p3', /is no Super-NaturalInstructions checkout/],
    ['table2', 'sni', /is no P3 directory|splits\.json/],
  ])('or are of another kind are told before %s pretrains anything', async (name, kind, sentence) => {
    await expect(planned(name, join(FIXTURES, kind))).rejects.toThrow(sentence);
  });

  it.each([
    ['table1', 'sni', (one: string) => one.startsWith('tasks/')],
    ['table2', 'p3', (one: string) => one.startsWith('eval/')],
    ['table3', 'p3', (one: string) => one.startsWith('fewshot/')],
  ])('in one file, such as %s of %s needs, are told with its name', async (name, kind, isFile) => {
    const partial = await mkdtemp(join(tmpdir(), 'hint-plan-partial-'));
    try {
      await cp(join(FIXTURES, kind), partial, { recursive: true });
      const file = (await readdir(partial, { recursive: true })).filter(isFile).sort().at(-1) as string;
      await rm(join(partial, file));
      await expect(planned(name, partial)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining(file) as string,
      });
    } finally {
      await rm(partial, { recursive: true });
    }
  });
});

describe('how long cells are trained', () => {
  const p3 = (name: string, changed: object = {}) =>
    planCells(findGrid(name), {
      ...tinySettings(scratch),
      data: join(FIXTURES, 'p3'),
      training: {},
      ...changed,
    });

  it('T0 takes twice the steps of the others, also where steps are asked for; Tables 9 and 10 share its cell', async () => {
    const steps = async (changed: object): Promise<Record<string, number>> =>
      Object.fromEntries((await p3('table2', changed)).map(({ cell, config }) => [cell.row, config.steps]));
    expect(await steps({ steps: undefined })).toMatchObject({
      T0: 20_000,
      'T0 + PEFT': 10_000,
      'HINT (Split)': 10_000,
    });
    expect(await steps({ steps: 3 })).toMatchObject({ T0: 6, 'T0 + PEFT': 3 });
    const ids = async (name: string): Promise<string[]> => (await p3(name)).map(({ id }) => id);
    const two = await ids('table2');
    expect(await ids('table9')).toEqual(two);
    for (const name of ['table10', 'figure5']) expect(await ids(name)).toEqual([two[0]]);
  });

  it('a hypernetwork is pretrained for 10,000 steps, at 11B for 7,000, or a share of them', async () => {
    const steps = async (size: 'xl' | 'xxl', columns?: string[]): Promise<(number | undefined)[]> => {
      const model = { label: size, init: { size }, tokenizer: join(FIXTURES, 'tokenizer') };
      const grid = selectCells(findGrid('section6.1'), { rows: ['Tied'], columns });
      const planned = await planCells(grid, {
        ...tinySettings(scratch),
        models: [model],
        pretrainSteps: undefined,
      });
      return planned.map(({ pretraining }) => pretraining?.config.steps);
    };
    expect(await steps('xl')).toEqual([undefined, 2500, 5000, 10_000]);
    expect(await steps('xxl', ['50 % of pretraining', '100 % of pretraining'])).toEqual([3500, 7000]);
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
      batchSize: 4,
      optimizer: { name: 'adamw' },
    });
    expect(planned).toHaveLength(without.length + 2);
  });

  it('are trained with three learning rates for three lengths each, and validated on tasks that they are not trained on', async () => {
    const settings = { ...tinySettings(scratch), steps: undefined, decoders: { gpt2 } };
    const only = selectCells(findGrid('table1'), { rows: ['GPT-2'], columns: ['Def'] });
    const [cell] = await planCells(only, settings);
    const runs = cell?.search?.runs ?? [];
    expect(runs.map(({ config: { learningRate, epochs } }) => `${learningRate} ${epochs}`)).toEqual(
      [1e-5, 2e-5, 5e-5].flatMap((rate) => [3, 5, 10].map((epochs) => `${rate} ${epochs}`)),
    );
    for (const { config } of runs)
      expect(config).toMatchObject({
        validation: { fraction: 0.02, by: 'task' },
        optimizer: { name: 'adamw' },
      });
    expect(new Set(runs.map(({ config }) => config.output)).size).toBe(9);
  });

  it('are not searched for what is set', async () => {
    const only = selectCells(findGrid('table1'), { rows: ['GPT-2'], columns: ['Def'] });
    const settings = { ...tinySettings(scratch), decoders: { gpt2 } };
    const axesOf = async (changed: object): Promise<string[] | undefined> => {
      const [cell] = await planCells(only, { ...settings, ...changed });
      return cell?.search && Object.keys(cell.search.points[0] ?? {});
    };
    expect(await axesOf({})).toEqual(['learningRate']);
    expect(await axesOf({ steps: undefined, decoderTraining: { learningRate: 1e-4 } })).toEqual(['epochs']);
    expect(await axesOf({ decoderTraining: { learningRate: 1e-4 } })).toBeUndefined();
    expect(
      await axesOf({ steps: undefined, decoderTraining: { learningRate: 1e-4, epochs: 2 } }),
    ).toBeUndefined();
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
