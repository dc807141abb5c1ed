import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CheaperInputs } from '../../src/accounting/break-even.js';
import { breakEven } from '../../src/benchmark/break-even.js';
import { sniLengths } from '../../src/benchmark/lengths.js';
import { measureLatency } from '../../src/benchmark/latency.js';
import type { LatencyOptions, LatencyPart } from '../../src/benchmark/latency-run.js';
import { breakEvenChart, breakEvenMarkdown } from '../../src/benchmark/break-even-report.js';
import { latencyChart, latencyMarkdown } from '../../src/benchmark/latency-report.js';
import { latencyTargets } from '../../src/benchmark/latency-targets.js';
import { benchConfig } from '../../src/benchmark/random-model.js';
import { shotList } from '../../src/cli/support/choices.js';
import { parameterCount } from '../../src/model/parameters/parameter-shapes.js';
import { spread } from '../../src/util/statistics.js';
import { benchmarkSeries, compareBenchmarks } from '../../src/benchmark/compare.js';

const root = resolve(import.meta.dirname, '../..');
const model = join(root, 'test/fixtures/original/greedy');
const options: LatencyOptions = {
  ...{ model, adapterSize: 512, shots: [0, 2], examples: 3, rounds: 2, dtypes: ['f32', 'int8'] },
  systems: ['hint', 't5', 'decoder'],
};

let folder: string;
let part: LatencyPart;
const pointOf = (system: string, dtype: string, shots: number) =>
  part.points.find((one) => one.system === system && one.dtype === dtype && one.shots === shots);
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
        // Decoder-only models compute in f32 alone.
        ...(dtype === 'f32' ? [`engine decoder f32, ${shots}`] : []),
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
    const compiling = part.compileSamples!['engine hint f32, 2 shots']!;
    const scaled = part.samples['engine hint f32, 2 shots']!.map(
      (seconds, round) => compiling[round]! + ((seconds - compiling[round]!) * 100) / 3,
    );
    expect(Math.min(...compiling)).toBeGreaterThan(0);
    expect(point).toMatchObject(spread(scaled));
    expect(point).toMatchObject({ inputTokens: 44, instructionTokens: 197, shots: 2 });
  });

  it('a decoder-only model reads the instruction once, keeps it, and pays for it with every input by attention alone', () => {
    const [none, two] = [0, 2].map((shots) => pointOf('decoder', 'f32', shots));
    expect(two).toMatchObject({ inputTokens: 44, instructionTokens: 197 });
    expect(two!.compileSeconds).toBeGreaterThan(0);
    const { n_embd: width, n_layer: layers } = part.decoder!.config as Record<string, number>;
    // 43 tokens of the input, then one a step, each of which reads a key and a value of every further token in front.
    const attention = 2 * (44 - 1 + 6) * (197 - 69) * 2 * width! * layers!;
    expect(two!.flopsPerExample! - none!.flopsPerExample!).toBe(attention);
    expect(two!.flopsPerTask! / none!.flopsPerTask!).toBeGreaterThan(197 / 69);
    expect(latencyMarkdown(part)).toMatch(/The decoder-only model is a GPT-2 as wide and deep, .*feed-forward \d+, .* keeps its keys and values/); // prettier-ignore
    expect(latencyMarkdown(part)).toContain('| cached decoder-only, f32 | 2 | 44 + 197 once |');
  });

  it('is measured in the first dtype where there is no f32', async () => {
    const int8 = await measureLatency({
      ...options,
      ...{ dtypes: ['int8'], shots: [0], rounds: 1, systems: ['decoder'] },
    });
    expect(Object.keys(int8.samples)).toEqual(['engine decoder f32, 0 shots']);
    expect(int8).not.toHaveProperty('breakEven');
    expect(breakEvenChart(int8)).toBeUndefined();
  });

  it('is what hint bench compare reads', () => {
    const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { latency: part } })), 'latency.json');
    expect(series).toHaveLength(12);
    expect(series.every(({ control }) => !control)).toBe(true);
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
      ...{ parameters: { t5: parameterCount(benchConfig('base')) }, examples: 100 },
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
    const falling = [point('hint', 'f32', 0, 5), point('hint', 'f32', 2, 4)];
    const rising = [point('t5', 'f32', 0, 21), point('t5', 'f32', 2, 40)];
    expect(latencyTargets({ ...measured, points: [...falling, ...rising] })).toEqual([]);
    expect(latencyMarkdown(measured)).toContain('| plain T5 against HF, both f32, 0 shots |');
    expect(latencyMarkdown(measured)).not.toContain('No targets are told');
  });

  it.each([
    ['another shape', { examples: 100 }],
    ['fewer examples', { parameters: { t5: parameterCount(benchConfig('base')) } }],
  ])('of %s is judged by no target, and says what they are set for', (_name, changed) => {
    const points = [point('hf', 'f32', 0, 26), point('hint', 'f32', 0, 4), point('t5', 'f32', 0, 21)];
    const other = { ...part, ...changed, points };
    expect(latencyTargets(other)).toEqual([]);
    expect(latencyMarkdown(other)).not.toMatch(/reached|missed/);
    expect(latencyMarkdown(other)).toContain('set for the shape of T5 v1.1 base with 100 examples');
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

describe('the break-even', () => {
  /** A part in which 3 inputs took these seconds, by round and shots. */
  const timed = (seconds: Record<string, { once: number[]; each: number[] }>): LatencyPart => ({
    ...part,
    ...{
      points: part.points.filter(({ name }) => name in seconds),
      samples: Object.fromEntries(
        Object.entries(seconds).map(([name, { once, each }]) => [name, once.map((first, i) => first + 3 * each[i]!)]),
      ),
      compileSamples: Object.fromEntries(Object.entries(seconds).map(([name, { once }]) => [name, once])),
    },
  }); // prettier-ignore
  const seconds = {
    'engine hint f32, 0 shots': { once: [3, 5], each: [1, 1] },
    'engine t5 f32, 0 shots': { once: [0, 0], each: [2, 2] },
    'engine decoder f32, 0 shots': { once: [1, 1], each: [1.5, 0.5] },
    'engine hint f32, 2 shots': { once: [4, 4], each: [1, 1] },
    'engine t5 f32, 2 shots': { once: [0, 0], each: [4, 4] },
    'engine decoder f32, 2 shots': { once: [8, 8], each: [1.5, 1.5] },
  };
  const flops = (system: string, shots: number) =>
    ({ hint: { once: 5, each: 2 }, t5: { once: 0, each: 2 + shots }, decoder: { once: 4, each: 1 } })[system];

  it('is where compiling is paid back, by the seconds of the samples in every round and by FLOPs', () => {
    const { inputs, shots } = breakEven(timed(seconds), flops)!;
    const found = (against: string, by: string, count: number) =>
      inputs.find((one) => one.against === against && one.by === by && one.shots === count);
    expect(found('t5', 'f32', 0)).toMatchObject({ from: 5, upTo: null, rounds: [{ from: 4 }, { from: 6 }] });
    expect(found('t5', 'f32', 2)).toMatchObject({ from: 2, rounds: [{ from: 2 }, { from: 2 }] });
    // The median decoder costs as much an input and less a task; in the second round, less of both.
    expect(found('decoder', 'f32', 0)).toMatchObject({ from: null, rounds: [{ from: 5 }, { from: null }] });
    expect(found('decoder', 'f32', 2)).toMatchObject({ from: 1, upTo: null });
    expect(found('t5', 'flops', 0)).toEqual({ against: 't5', by: 'flops', shots: 0, from: null, upTo: null });
    expect(found('t5', 'flops', 2)).toMatchObject({ from: 3, upTo: null });
    expect(found('t5', 'int8', 0)).toBeUndefined();
    const by = (against: string, measure: string) =>
      shots.filter((one) => one.against === against && one.by === measure).map(({ from }) => from);
    expect(by('t5', 'f32')).toEqual([null, 0, 0, 0]);
    // 5 + 2 n < n (2 + shots): more than 5 shots for one input, one for ten and more.
    expect(by('t5', 'flops')).toEqual([6, 1, 1, 1]);
    expect(by('decoder', 'flops')).toEqual([null, null, null, null]);
  });

  it('is in the result, with the FLOPs that hint flops counts', () => {
    const { inputs, shots } = part.breakEven!;
    expect(inputs.map(({ against, by, shots: count }) => `${against} ${by} ${count}`)).toEqual([
      ...['t5 f32 0', 't5 f32 2', 't5 int8 0', 't5 int8 2', 't5 flops 0', 't5 flops 2'],
      ...['decoder f32 0', 'decoder f32 2', 'decoder flops 0', 'decoder flops 2'],
    ]);
    expect(shots).toHaveLength(5 * 4);
    const hint = pointOf('hint', 'f32', 2)!;
    const plain = pointOf('t5', 'f32', 2)!;
    const from = inputs.find(({ against, by, shots: count }) => against === 't5' && by === 'flops' && count === 2)?.from; // prettier-ignore
    const cost = (inputs: number) => hint.flopsPerTask! + inputs * hint.flopsPerExample!;
    expect(cost(from!)).toBeLessThan(from! * plain.flopsPerExample!);
    expect(cost(from! - 1)).toBeGreaterThanOrEqual((from! - 1) * plain.flopsPerExample!);
  });

  it('is told by shots and by inputs, and drawn; older results have none', () => {
    const measured = { ...timed(seconds), breakEven: breakEven(timed(seconds), flops)! };
    const text = breakEvenMarkdown(measured).join('\n\n');
    expect(text).toContain('| plain T5 | seconds, f32 | from 5 (4–6) | from 2 |');
    expect(text).toContain('| cached decoder-only | seconds, f32 | never (5, never) | from 1 |');
    expect(text).toContain('| plain T5 | FLOPs | from 6 | from 1 | from 1 | from 1 |');
    expect(text).toContain('| plain T5 | seconds, f32 | not with 2 | from 0 | from 0 | from 0 |');
    const svg = breakEvenChart(measured)!;
    for (const title of ['Seconds an input', 'FLOPs an input', 'From where HINT costs less than plain T5'])
      expect(svg).toContain(title);
    expect(svg).toContain('no point: never');
    expect(svg).not.toMatch(/NaN|Infinity/);
    const added = ['breakEven', 'compileSamples', 'decoder', 'energy'];
    const older = Object.fromEntries(
      Object.entries(part).filter(([key]) => !added.includes(key)),
    ) as unknown as LatencyPart;
    expect(latencyMarkdown(older)).not.toContain('Break-even');
    expect(breakEvenChart(older)).toBeUndefined();
  });

  it('is drawn with the rounds that begin to cost less, not with those that cease to', () => {
    const drawn = (second: CheaperInputs) => {
      const rounds = [{ from: 100, upTo: null }, second];
      const inputs = [{ against: 't5', by: 'f32', shots: 2, from: 100, upTo: null, rounds }] as const;
      return breakEvenChart({ ...timed(seconds), breakEven: { inputs, shots: [] } });
    };
    expect(drawn({ from: 1, upTo: 12 })).toBe(drawn({ from: null, upTo: null }));
    expect(drawn({ from: 90, upTo: null })).not.toBe(drawn({ from: null, upTo: null }));
  });

  it('is drawn where only one number of shots was measured', async () => {
    const one = await measureLatency({ ...options, ...{ shots: [1], dtypes: ['f32'], rounds: 1 } });
    expect(breakEvenChart(one)).toMatch(/^<svg[^]*1 shot, f32[^]*<\/svg>\n$/);
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
      'latency-break-even.png',
      'latency-break-even.svg',
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
    expect(await readdir(output)).toHaveLength(6);
  });

  it('leaves no picture of a break-even that the run does not have', async () => {
    const output = join(folder, 'whole');
    const { code } = await run([...small, '--systems', 't5', '--shots', '0', '--output', output]);
    expect(code).toBe(0);
    expect((await readdir(output)).filter((name) => name.includes('break-even'))).toEqual([]);
  });

  it('reads lists and ranges of shots, and refuses others', () => {
    expect(shotList('0..3')).toEqual([0, 1, 2, 3]);
    expect(shotList('5, 0,2..3,2')).toEqual([0, 2, 3, 5]);
    for (const wrong of ['', '3..1', '0..99', '-1', 'two', '1..'])
      expect(() => shotList(wrong)).toThrow(/shots/);
  });
});
