import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { benchmarkSeries } from '../../src/benchmark/compare.js';
import { measureLatency } from '../../src/benchmark/latency.js';
import { latencyMarkdown } from '../../src/benchmark/latency-report.js';
import type { LatencyPart } from '../../src/benchmark/latency-run.js';
import { latencyTargets } from '../../src/benchmark/latency-targets.js';
import { parameterCount } from '../../src/model/parameters/parameter-shapes.js';
import { benchConfig, endless } from '../../src/benchmark/random-model.js';
import { measureTraining } from '../../src/benchmark/training.js';
import { trainingMarkdown } from '../../src/benchmark/training-report.js';
import { tinyConfig } from '../inference/models.js';

// A peer that stands for those in Python, fastest with batches of two, kept memory, eager attention, bf16 autocast.
const outer = process.env['HINT_PEER_PYTHON'];
beforeAll(() => (process.env['HINT_PEER_PYTHON'] = resolve(import.meta.dirname, 'fake-peer.mjs')));
afterAll(() => {
  if (outer === undefined) delete process.env['HINT_PEER_PYTHON'];
  else process.env['HINT_PEER_PYTHON'] = outer;
});

describe('peers of generation', () => {
  let part: LatencyPart;
  const notes: string[] = [];
  beforeAll(async () => {
    part = await measureLatency({
      model: resolve(import.meta.dirname, '../fixtures/original/greedy'),
      ...{ adapterSize: 8, shots: [0, 5], examples: 4, rounds: 1, dtypes: ['f32', 'bf16', 'int8'] },
      systems: ['t5', 'hf', 'ctranslate2'],
      note: (text) => notes.push(text),
    });
  });

  it('run at their best at every length and in every dtype, and the result says with what', () => {
    const memory = process.platform === 'linux' ? 'kept' : 'system';
    const settings = Object.fromEntries(
      part.points.flatMap(({ name, setting }) => (setting ? [[name, setting]] : [])),
    );
    const names = ['0 shots', '5 shots'].flatMap((shots) =>
      ['hf t5 f32', 'ctranslate2 t5 f32', 'hf t5 bf16', 'ctranslate2 t5 int8'].map(
        (peer) => `${peer}, ${shots}`,
      ),
    );
    expect(Object.keys(settings).sort()).toEqual(names.sort());
    for (const [name, { batch, memory: found, how, failed }] of Object.entries(settings)) {
      expect([batch, found]).toEqual([2, memory]);
      if (name.startsWith('ctranslate2')) continue;
      expect(how).toBe(`eager attention${name.includes('bf16') ? ', bf16 autocast' : ''}`);
      expect(failed.join()).toContain('one at a time is refused');
    }
    expect(notes.join('\n')).toContain('Hugging Face in bf16 with 298 tokens is fastest with batches of 2');
    expect(latencyMarkdown(part)).toMatch(
      /\| HF T5, bf16 \| 298 \| batches of 2, .*eager attention, bf16 autocast \|/,
    );
  });

  it('whose seconds a token grow with length are quoted with that next to the ratio', () => {
    const base = { ...part, parameters: { t5: parameterCount(benchConfig('base')) }, examples: 100 };
    const noted = latencyTargets(base).filter(({ note }) => note !== undefined);
    expect(noted.map(({ name }) => name)).toContain('plain T5 against CTranslate2, both int8, 5 shots');
    for (const { note, name } of noted) {
      expect(note).toMatch(/grow 2\.24× from 133 to 298 tokens, its work 1\.\d\d×/);
      expect(latencyMarkdown(base)).toContain(name);
    }
    expect(latencyMarkdown(base)).toContain(
      'tokens grow 2.24× from 133'.replace('tokens grow', 'a token grow'),
    );
    expect(latencyTargets(base).filter(({ name }) => name.includes('0 shots')).every(({ note }) => note === undefined)).toBe(true); // prettier-ignore
  });

  it('are controls when results are compared', () => {
    const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { latency: part } })), 'latency.json');
    const controls = series.filter(({ control }) => control).map(({ name }) => name);
    expect(controls).toHaveLength(8);
    expect(controls.every((name) => /hf|ctranslate2/.test(name))).toBe(true);
  });
});

it('a peer of training runs at its best, compiled only where that pays', async () => {
  const notes: string[] = [];
  const part = await measureTraining({
    config: endless(tinyConfig(null)),
    ...{ systems: ['t5', 'hf'], batchSize: 4, tasks: 2, tokenBudget: 300, rounds: 1, threads: 1 },
    note: (text) => notes.push(text),
  });
  const hf = part.systems.find(({ system }) => system === 'hf');
  expect(hf?.setting).toMatchObject({ batch: 2, how: 'eager attention, bf16 autocast' });
  expect(hf?.usefulShare).toBe(0.5);
  expect(notes.join()).toContain('hf trains fastest with batches of 2');
  expect(trainingMarkdown(part)).toMatch(
    /fastest of \d+ settings with batches of 2, .*bf16 autocast \(left out: /,
  );
});
