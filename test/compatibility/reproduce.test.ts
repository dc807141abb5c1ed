import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findGrid, provenance, runGrid, selectCells, writeReport, type GridEvent, type ReproduceSettings } from '../../src/reproduce/index.js'; // prettier-ignore
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { Written } from './written.js';

interface Expected {
  readonly settings: ReproduceSettings;
  readonly cells: { id: string; result: { score: number }; losses: number[] }[];
}

let written: Written;
beforeAll(async () => {
  await ensureCompiledWorker();
  written = await Written.copy();
});
afterAll(() => rm(written.folder, { recursive: true, force: true }));

const lossesOf = async (folder: string): Promise<number[]> =>
  (await readFile(join(folder, 'run', 'metrics.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { loss: number }).loss);

it('a table of the paper that version 0.1.0 left half done goes on where it was', async () => {
  const { settings, cells } = (await written.json('expected-reproduce.json')) as Expected;
  const grid = selectCells(findGrid('table6'), { rows: ['HINT', '− PEFT generation'] });
  const [done, stopped] = cells as [Expected['cells'][0], Expected['cells'][0]];
  // The configuration of a run names its folder.
  const config = join('reproduce/cells', stopped.id, 'run/config.json');
  await writeFile(written.at(config), JSON.stringify(await written.json(config)));
  const before = await lossesOf(written.at('reproduce/cells', stopped.id));
  expect(before).toHaveLength(3);

  const events: GridEvent[] = [];
  const result = await runGrid(grid, settings, { onEvent: (event) => void events.push(event) });
  expect(result.cells.map(({ folder, status }) => [basename(folder), status])).toEqual(
    cells.map(({ id }) => [id, 'done']),
  );
  const told = events.flatMap((event) => (event.kind === 'cell' ? [`${event.index} ${event.state}`] : []));
  expect(told).toEqual(['1 skipped', '2 started', '2 finished']);
  const steps = events.flatMap((event) =>
    event.kind === 'run' && event.event.kind === 'step' ? [`${event.stage} ${event.event.report.step}`] : [],
  );
  expect(steps).toEqual(['training 4']);
  expect(result.cells.map((cell) => cell.result)).toEqual([done, stopped].map((cell) => expect.objectContaining(cell.result))); // prettier-ignore
  written.expectNumbers(await lossesOf(written.at('reproduce/cells', stopped.id)), stopped.losses);
  await writeReport(result, settings, await provenance());
  expect(JSON.parse(await readFile(written.at('reproduce/table6.json'), 'utf8'))).toMatchObject({ complete: true }); // prettier-ignore
});
