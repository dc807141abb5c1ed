import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runGrid, writeReport, type GridEvent, type StartingModel } from '../../src/reproduce/index.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { FIXTURES } from '../training/tiny.js';
import { MADE, TINY_GRID, tinySettings } from './settings.js';

let scratch: string;
beforeAll(async () => {
  await ensureCompiledWorker();
  scratch = await mkdtemp(join(tmpdir(), 'hint-reproduce-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const newGpt2 = (): StartingModel => ({
  label: 'new gpt2',
  init: {
    config: {
      model_type: 'gpt2',
      vocab_size: 330,
      n_embd: 16,
      n_layer: 1,
      n_head: 2,
      n_positions: 512,
      bos_token_id: 0,
      eos_token_id: 0,
    },
  },
  tokenizer: join(FIXTURES, 'bpe-tokenizer'),
});

const states = (events: readonly GridEvent[]): string[] =>
  events.flatMap((event) => (event.kind === 'cell' ? [`${event.index} ${event.state}`] : []));
const trained = (events: readonly GridEvent[]): string[] =>
  events.flatMap((event) =>
    event.kind === 'run' && event.event.kind === 'step' ? [`${event.stage} ${event.event.report.step}`] : [],
  );

describe('a grid', () => {
  it('stops at an interruption, goes on where it was, redoes nothing, and reports beside the paper', async () => {
    const settings = tinySettings(join(scratch, 'whole'));
    const controller = new AbortController();
    const first: GridEvent[] = [];
    const stopped = await runGrid(TINY_GRID, settings, {
      signal: controller.signal,
      onEvent: (event) => {
        first.push(event);
        // After the first step of the second cell's training.
        if (states(first).length === 3 && event.kind === 'run' && event.event.kind === 'step')
          controller.abort();
      },
    });
    expect(stopped.interrupted).toBe(true);
    expect(stopped.cells.map(({ status }) => status)).toEqual(['done', 'pending', 'pending']);
    expect(trained(first).slice(0, 4)).toEqual([
      'pretraining 1',
      'pretraining 2',
      'training 1',
      'training 2',
    ]);

    const second: GridEvent[] = [];
    const whole = await runGrid(TINY_GRID, settings, { onEvent: (event) => void second.push(event) });
    expect(states(second)).toEqual(['1 skipped', '2 started', '2 finished', '3 started', '3 finished']);
    // The pretraining is shared; the second cell goes on behind its first step, the third begins.
    expect(trained(second).filter((step) => step.startsWith('pretraining'))).toEqual([]);
    expect(trained(second).filter((step) => step === 'training 1')).toHaveLength(1);
    expect(whole.cells[0]?.result).toEqual(stopped.cells[0]?.result);
    expect(await readdir(join(settings.output, 'pretrained'))).toHaveLength(1);
    expect(existsSync(join(whole.cells[0]?.folder ?? '', 'run', 'checkpoints'))).toBe(false);

    const files = await writeReport(whole, settings, MADE);
    expect(files.map((file) => file.split('.').at(-1))).toEqual(['json', 'md', 'svg', 'png']);
    const report = JSON.parse(await readFile(files[0] ?? '', 'utf8')) as {
      complete: boolean;
      figures: { paper: object; score: number }[];
      claims: { seeds: number }[];
    };
    expect(report.complete).toBe(true);
    expect(report.figures[0]).toMatchObject({ paper: { '3B': 47.2 }, seeds: [0] });
    expect(report.claims[0]?.seeds).toBe(1);
    // A report is sent around: it names no folder of the machine it was made on.
    expect(JSON.stringify(report)).not.toMatch(/"\//);
    const markdown = await readFile(files[1] ?? '', 'utf8');
    expect(markdown).toContain('# A tiny table, on sni\n');
    expect(markdown).toMatch(
      /unseen tasks of sni: tiny \(0\.\d+ M parameters\); 2 steps after 2 of pretraining; 2 instances of each unseen task; seed 0\./,
    );
    expect(markdown).toContain(
      'Made 2026-01-02 03:04 UTC by hint-engine 0.0.0 (abc) on A processor, 2 cores.',
    );
    expect(markdown).toMatch(
      /\| HINT above No-Instruct \| Table 0 \| too few seeds \| -?\d+\.\d points \| more than 0 points \| [01] of 1 \|/,
    );
    const svg = await readFile(files[2] ?? '', 'utf8');
    expect(svg).toContain('Def, as printed for 3B');
    // One bar and its entry in the legend; the paper prints nothing of the other setting.
    expect(svg.match(/stroke-dasharray="3 2"/g)).toHaveLength(2);
    expect(svg).not.toContain('Def + 1 Pos, as printed');
    expect(markdown).toMatch(/\| HINT \| Def \| \d+\.\d \| 1 \| .* \| 47\.2 \|/);
  });

  it('makes a new cell of a changed configuration, and none of what changes no result', async () => {
    const output = join(scratch, 'whole');
    const events: GridEvent[] = [];
    const onEvent = (event: GridEvent): void => void events.push(event);
    await runGrid({ ...TINY_GRID, cells: TINY_GRID.cells.slice(2) }, { ...tinySettings(output), threads: 2 }, { onEvent }); // prettier-ignore
    await runGrid({ ...TINY_GRID, cells: TINY_GRID.cells.slice(2) }, { ...tinySettings(output), steps: 1 }, { onEvent }); // prettier-ignore
    expect(states(events)).toEqual(['1 skipped', '1 started', '1 finished']);
  });

  it('reports a failing cell and runs the others', async () => {
    const [, , last] = TINY_GRID.cells;
    const broken = { row: 'Broken', column: 'Def', system: 'no-instruct', data: {}, modules: () => ({ prefixLength: 3 }) }; // prettier-ignore
    const settings = tinySettings(join(scratch, 'failing'));
    const result = await runGrid({ ...TINY_GRID, cells: [broken, last!], claims: [] }, settings);
    expect(result.cells.map(({ status }) => status)).toEqual(['failed', 'done']);
    expect(result.cells[0]?.error).toMatchObject({
      code: 'INVALID_CONFIG',
      message: expect.stringContaining('prefixLength') as string,
    });
    expect(result.interrupted).toBe(false);
    const [, markdown] = await writeReport(result, settings, MADE);
    expect(await readFile(markdown ?? '', 'utf8')).toContain('- Broken, Def, tiny, seed 0: failed, ');
  });

  it('takes the decoder-only model that is best by validation, once, and says which', async () => {
    const settings = {
      ...tinySettings(join(scratch, 'search')),
      decoders: { gpt2: newGpt2() },
      decoderTraining: {
        validation: { fraction: 0.5, by: 'task' as const, instancesPerTask: 1, metric: 'loss' },
      },
    };
    const grid = {
      ...TINY_GRID,
      cells: [{ row: 'GPT-2', column: 'Def', system: 'gpt2', data: {} }],
      claims: [],
    };
    const controller = new AbortController();
    const first: GridEvent[] = [];
    const searched = (events: readonly GridEvent[]): string[] =>
      events.flatMap((one) => (one.kind === 'search' ? [`${one.event.index} ${one.event.state}`] : []));
    const stopped = await runGrid(grid, settings, {
      signal: controller.signal,
      onEvent: (event) => {
        first.push(event);
        if (searched(first).includes('2 started')) controller.abort();
      },
    });
    expect([stopped.interrupted, searched(first)]).toEqual([true, ['1 started', '1 finished', '2 started']]);

    const second: GridEvent[] = [];
    const whole = await runGrid(grid, settings, { onEvent: (event) => void second.push(event) });
    expect(searched(second)).toEqual(['1 skipped', '2 started', '2 finished', '3 started', '3 finished']);
    const [cell] = whole.cells;
    expect(cell?.error).toBeUndefined();
    const chosen = cell?.result?.chosen;
    const losses = second.flatMap((one) => (one.kind === 'search' ? (one.event.score ?? []) : []));
    expect(chosen).toMatchObject({ metric: 'loss', score: Math.min(...losses), of: 3, steps: 2 });
    expect(Object.keys(chosen?.settings ?? {})).toEqual(['learningRate']);
    // What lost keeps its figures, and no weights.
    const runs = await readdir(join(cell?.folder ?? '', 'search'));
    const kept = runs.filter((run) => existsSync(join(cell?.folder ?? '', 'search', run, 'seed-0', 'best')));
    expect([runs.filter((run) => run.startsWith('learningRate')).length, kept.length]).toEqual([3, 1]);
    const [, markdown] = await writeReport(whole, settings, MADE);
    expect(await readFile(markdown ?? '', 'utf8')).toMatch(
      /- GPT-2, Def, seed 0: learningRate \S+ \(2 steps\), the best of 3 by validation \(loss \d/,
    );
    const again = await runGrid(grid, settings);
    expect(again.cells[0]?.result).toEqual(cell?.result);
  });

  it('trains and evaluates a decoder-only row beside the others', async () => {
    const settings = {
      ...tinySettings(join(scratch, 'decoder')),
      decoders: { gpt2: newGpt2() },
      decoderTraining: { learningRate: 1e-4 },
    };
    const cell = { row: 'GPT-2', column: 'Def', system: 'gpt2', data: { positives: 0 } };
    const opt = { ...cell, row: 'OPT', system: 'opt' };
    const result = await runGrid({ ...TINY_GRID, cells: [cell, opt, TINY_GRID.cells[2]!] }, settings);
    expect(result.cells.map(({ status, error }) => error ?? status)).toEqual(['done', 'done']);
    expect(result.cells.map(({ model }) => model).sort()).toEqual(['new gpt2', 'tiny']);
    expect(result.cells.find(({ model }) => model === 'new gpt2')?.result?.flopsPer100).toBeGreaterThan(0);
    const [, markdown] = await writeReport(result, settings, MADE);
    const text = await readFile(markdown ?? '', 'utf8');
    expect(text).toContain('| GPT-2 | Def | new gpt2 |');
    expect(text).toContain('Left out for want of a starting model: OPT.');
  });
});
