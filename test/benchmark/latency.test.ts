import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sniLengths } from '../../src/benchmark/lengths.js';
import { measureLatency } from '../../src/benchmark/latency.js';
import type { LatencyOptions, LatencyPart } from '../../src/benchmark/latency-run.js';
import { latencyChart, latencyMarkdown } from '../../src/benchmark/latency-report.js';
import { latencyTargets } from '../../src/benchmark/latency-targets.js';
import { shotList } from '../../src/cli/support/choices.js';
import { benchmarkSeries, compareBenchmarks } from '../../src/benchmark/compare.js';

const root = resolve(import.meta.dirname, '../..');
const model = join(root, 'test/fixtures/original/greedy');
const options: LatencyOptions = {
  ...{ model, adapterSize: 512, shots: [0, 2], examples: 3, rounds: 2, dtypes: ['f32', 'int8'] },
  systems: ['hint', 't5'],
};

let folder: string;
let part: LatencyPart;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-latency-'));
  part = await measureLatency(options);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('what is measured', () => {
  it('has the paper’s medians with no and with two shots, and goes on by their differences', () => {
    expect(sniLengths(0)).toEqual({ input: 44, instruction: 69, full: 133 });
    expect(sniLengths(2)).toEqual({ input: 44, instruction: 197, full: 199 });
    expect(sniLengths(5)).toEqual({ input: 44, instruction: 389, full: 298 });
  });

  it('keeps a sample of every round for every system, dtype and number of shots', () => {
    const names = ['f32', 'int8'].flatMap((dtype) => [
      `engine t5 ${dtype}, no instruction`,
      ...['0 shots', '2 shots'].flatMap((shots) => [
        `engine t5 ${dtype}, ${shots}`,
        `engine hint ${dtype}, ${shots}`,
      ]),
    ]);
    expect(Object.keys(part.samples).sort()).toEqual(names.sort());
    expect(Object.values(part.samples).every((values) => values.length === 2)).toBe(true);
    for (const point of part.points) {
      expect(point.p10).toBeLessThanOrEqual(point.median);
      expect(point.median).toBeLessThanOrEqual(point.p90);
      expect(point.memoryBytes).toBeGreaterThan(0);
      expect(point.eventLoopLag?.p99).toBeGreaterThanOrEqual(0);
    }
  });

  it('counts the compilation once, not once per scaled example', () => {
    const point = part.points.find(({ name }) => name === 'engine hint f32, 2 shots');
    const seconds = part.samples['engine hint f32, 2 shots'] as number[];
    const naive = Math.min(...seconds.map((value) => (value * 100) / 3));
    expect(point?.compileSeconds).toBeGreaterThan(0);
    expect(point?.p10).toBeLessThan(naive);
    expect(point).toMatchObject({ inputTokens: 44, instructionTokens: 197, shots: 2 });
  });

  it('is what hint bench compare reads', () => {
    const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { latency: part } })), 'latency.json');
    expect(series).toHaveLength(10);
    expect(compareBenchmarks(series, series, 0).regressions).toEqual([]);
  });

  it.each([
    [{ examples: 0 }, /examples is 0/],
    [{ shots: [] }, /no shots/],
    [{ size: 'small' }, /not both/],
    [{ onnx: '/nowhere' }, /exported model/],
  ] as const)('refuses %j before it measures', async (wrong, message) => {
    await expect(measureLatency({ ...options, ...wrong })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message) as string,
    });
  });

  it('names a peer that is not installed and goes on without it', async () => {
    const python = process.env.HINT_PEER_PYTHON;
    process.env.HINT_PEER_PYTHON = join(folder, 'no-python');
    try {
      const notes: string[] = [];
      const alone = await measureLatency({
        ...options,
        ...{ shots: [0], dtypes: ['f32'], systems: ['t5', 'hf'], note: (text) => notes.push(text) },
      });
      expect(notes.join()).toMatch(/left out: .*HINT_PEER_PYTHON/);
      expect(alone.points.every(({ system }) => system === 't5')).toBe(true);
      expect(latencyMarkdown(alone)).toContain('HF transformers was left out');
    } finally {
      if (python === undefined) delete process.env.HINT_PEER_PYTHON;
      else process.env.HINT_PEER_PYTHON = python;
    }
  });

  it('ends with ABORTED in the middle of a run, and leaves nothing running', async () => {
    const controller = new AbortController();
    const run = measureLatency({
      ...options,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('the report', () => {
  const point = (system: 'hint' | 't5' | 'hf', dtype: 'f32' | 'int8', shots: number, median: number) => ({
    ...{ system, dtype, shots, median, p10: median, p90: median, samples: 1, name: '', memoryBytes: 1 },
    inputTokens: system === 'hint' ? 44 : 133 + 33 * shots,
    ...(system === 'hint' && { compileSeconds: 0.5 }),
  });

  it('judges by the fastest dtype of HINT, and leaves out what was not measured', () => {
    const measured = {
      ...part,
      dtypes: ['f32', 'int8'] as const,
      points: [
        ...[point('hf', 'f32', 0, 26), point('hint', 'f32', 0, 4), point('hint', 'int8', 0, 2)],
        ...[point('t5', 'f32', 0, 21), point('t5', 'f32', 2, 40), point('hint', 'f32', 2, 4.4)],
      ],
    };
    const targets = latencyTargets(measured);
    expect(targets.map(({ name, reached }) => [name, reached])).toEqual([
      ['HINT in int8 against HF in f32, 0 shots (133 tokens)', true],
      ['plain T5 against HF, both f32, 0 shots', false],
      ['seconds that a shot adds, HINT over plain T5, f32', true],
    ]);
    expect(targets[0]?.measured).toBe(13);
    expect(targets[2]?.measured).toBeCloseTo(0.02);
  });

  it('draws a line per system and dtype over shots, linear or logarithmic', () => {
    const [linear, logarithmic] = [latencyChart(part), latencyChart(part, true)];
    for (const svg of [linear, logarithmic]) {
      expect(svg).toContain('Few-shot examples in the instruction');
      for (const name of ['HINT, f32', 'HINT, int8', 'plain T5, f32', 'plain T5, int8'])
        expect(svg).toContain(name);
      expect(svg).not.toContain('NaN');
    }
    expect(linear).not.toBe(logarithmic);
  });
});

describe('hint bench latency', () => {
  const run = (parameters: string[], onOutput?: (text: string, stop: () => void) => void) =>
    new Promise<{ code: number | null; stdout: string; stderr: string }>((done) => {
      const child = spawn(process.execPath, [
        join(root, 'dist/bundle/cli/main.js'),
        'bench',
        'latency',
        ...parameters,
      ]);
      const seen = { stdout: '', stderr: '' };
      for (const stream of ['stdout', 'stderr'] as const)
        child[stream].setEncoding('utf8').on('data', (text: string) => {
          seen[stream] += text;
          onOutput?.(text, () => child.kill('SIGINT'));
        });
      child.on('close', (code) => done({ code, ...seen }));
    });
  const small = [
    '--model',
    model,
    '--examples',
    '2',
    '--rounds',
    '1',
    '--systems',
    'hint,t5',
    '--dtypes',
    'f32',
  ];

  it('writes the samples, the report and the chart', async () => {
    const output = join(folder, 'whole');
    const { code, stdout, stderr } = await run([
      ...small,
      '--shots',
      '0..1',
      '--log',
      '--json',
      '--output',
      output,
    ]);
    expect(stderr).toContain('Written');
    expect(code).toBe(0);
    expect((await readdir(output)).sort()).toEqual([
      'latency.json',
      'latency.md',
      'latency.png',
      'latency.svg',
    ]);
    const stored = JSON.parse(await readFile(join(output, 'latency.json'), 'utf8')) as object;
    expect(JSON.parse(stdout)).toMatchObject(stored);
    expect(await readFile(join(output, 'latency.md'), 'utf8')).toContain('| HINT, f32 | 1 | 44 + 133 once |');
  });

  it('leaves no file when it is interrupted, and keeps those of an earlier run', async () => {
    const output = join(folder, 'whole');
    const before = await readFile(join(output, 'latency.json'), 'utf8');
    const stopped = await run([...small, '--rounds', '100000', '--output', output], (text, stop) => {
      if (text.startsWith('latency ')) stop();
    });
    expect(stopped.code).toBe(130);
    expect(await readFile(join(output, 'latency.json'), 'utf8')).toBe(before);
    expect(await readdir(output)).toHaveLength(4);
  });

  it('reads lists and ranges of shots, and refuses others', () => {
    expect(shotList('0..3')).toEqual([0, 1, 2, 3]);
    expect(shotList('5, 0,2..3,2')).toEqual([0, 2, 3, 5]);
    for (const wrong of ['', '3..1', '0..99', '-1', 'two', '1..'])
      expect(() => shotList(wrong)).toThrow(/shots/);
  });
});
