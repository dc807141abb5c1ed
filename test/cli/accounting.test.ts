import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const model = join(root, 'test/fixtures/original/greedy');

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

function hint(...parameters: string[]): Promise<Outcome> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [join(root, 'dist/bundle/cli/main.js'), ...parameters],
      (error, stdout, stderr) =>
        done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-accounting-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('hint flops', () => {
  it('prints the paper’s cells with ours, for people and for machines', async () => {
    const [text, json] = await Promise.all([hint('flops', '--paper'), hint('flops', '--paper', '--json')]);
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/OPT-13B 13B +Def +15\.9 +35\.46 +not by any formula/);
    expect(text.stdout).toContain('53 of 53 cells agree');
    const { cells } = JSON.parse(json.stdout) as { cells: Record<string, unknown>[] };
    expect(cells[0]).toMatchObject({
      ...{ table: 1, row: 'Tk-Instruct (our replication) 250M', column: 'Def Rel. FLOPs' },
      ...{ value: 1, computed: 1, within: true, tested: true },
    });
  });

  it('exits with 1 when a convention is changed so that cells no longer agree', async () => {
    const { code, stdout } = await hint('flops', '--paper', '--kappa', '30');
    expect(code).toBe(1);
    expect(stdout).toMatch(/HINT \(ours\) 3B .* NO/);
  });

  it('counts the paper’s tables with the medians of other data, by their kind', async () => {
    const median = { instruction: 69, input: 44, target: 1, together: 133 };
    const file = async (name: string, kind: string, more: object, shots: number): Promise<string> => {
      const split = {
        split: 'test',
        tasks: 2,
        examples: 200,
        tokens: 1,
        unknown: 0,
        median: { ...median, ...more },
      };
      const path = join(folder, name);
      await writeFile(path, JSON.stringify({ kind, data: 'd', tokenizer: 't', shots, splits: [split] }));
      return path;
    };
    const withShots = { instructionWithShots: 197, togetherWithShots: 199 };
    const [sni, def, p3] = await Promise.all([
      file('sni.json', 'sni', withShots, 2),
      file('def.json', 'own', {}, 0),
      file('p3.json', 'p3', {}, 0),
    ]);
    const [ofSni, ofDef, ofP3] = await Promise.all([
      hint('flops', '--paper', '--data', sni, '--json'),
      hint('flops', '--paper', '--data', def),
      hint('flops', '--paper', '--data', p3, '--json'),
    ]);
    type Cells = { cells: { table: number; row: string; column: string; computed: number }[] };
    const { cells } = JSON.parse(ofSni.stdout) as Cells;
    // These are the paper's own medians, so that its own figures come out.
    const paper = JSON.parse((await hint('flops', '--paper', '--json')).stdout) as Cells;
    expect(cells.map(({ computed }) => computed)).toEqual(
      paper.cells.filter(({ table }) => table === 1).map(({ computed }) => computed),
    );
    expect(ofDef.stdout).not.toMatch(/Def \+ 2 Pos/);
    expect(ofDef.stdout).toContain('measure them with hint data --statistics --positives 2');
    const { cells: ofPrompts } = JSON.parse(ofP3.stdout) as Cells;
    expect([...new Set(ofPrompts.map(({ table }) => table))].sort()).toEqual([2, 9]);
    expect(ofPrompts.find(({ row }) => row === 'No Prompt')?.computed).toBeCloseTo(45 / 134, 6);
    expect((await hint('flops', '--curve', '--data', sni)).code).toBe(2);
  });

  it('counts a model directory, phase by phase', async () => {
    const { stdout } = await hint(
      'flops',
      model,
      '--instruction',
      '7',
      '--tasks',
      '2',
      '--examples',
      '3',
      '--json',
    );
    const report = JSON.parse(stdout) as {
      multiplyAdds: number;
      phases: { times: number; each: { total: number } }[];
    };
    const sum = report.phases.reduce((total, { times, each }) => total + times * each.total, 0);
    expect(report.multiplyAdds).toBe(sum);
    expect(report.phases.map(({ times }) => times)).toEqual([2, 2, 2, 6, 6]);
  });

  it('draws the curve into files', async () => {
    const files = ['curve.svg', 'curve.png'].map((name) => join(folder, name));
    const { code, stdout } = await hint('flops', '--curve', '--size', 'small', '--plot', ...files);
    expect(code).toBe(0);
    expect(stdout).toMatch(/costs HINT 1\.00 % of what it costs Tk-Instruct by the formula/);
    const [svg, png] = await Promise.all(files.map((file) => readFile(file)));
    expect(svg?.toString()).toContain('Instruction tokens');
    expect(png?.subarray(1, 4).toString()).toBe('PNG');
  });

  it.each([
    [['flops'], /Give either a model directory or --size/],
    [['flops', model, '--size', 'base'], /Give either a model directory or --size/],
    [['flops', '--size', 'huge'], /small, base, large, xl, xxl/],
    [['flops', '--size', 'base', '--system', 'gpt'], /no system "gpt"/],
    [['flops', '--size', 'base', '--system', 'tk-instruct', '--adapter-size', '8'], /has no hypernetwork/],
    [['flops', '--size', 'base', '--recompute'], /add --training/],
    [['flops', '--size', 'base', '--regenerate'], /add --training/],
    [['memory', '--size', 'xxl', '--training', '--budget', 'much'], /--budget is much/],
    [['flops', '--size', 'base', '--input', '-1'], /--input is "-1"/],
    [['flops', '--size', 'base', '--plot', 'a.svg'], /add --curve/],
    [['flops', '--curve', '--plot', 'a.jpg'], /must end in \.svg or \.png/],
    [['flops', '--curve', 'depth'], /no curve over "depth"/],
    [['flops', '--paper', model], /leave .* out/],
    [['memory', '--size', 'base', '--system', 'no-instruct'], /compiles nothing/],
    [['bench', 'compare', 'a.json', 'b.json', '--margin', 'much'], /--margin is "much"/],
  ])('refuses %j with one sentence', async (parameters, message) => {
    const { code, stdout, stderr } = await hint(...parameters);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
  });
});

describe('hint memory', () => {
  it('says how 11B is trained on one GPU: with modules made again in layers that run again', async () => {
    const budget = ['--size', 'xxl', '--training', '--budget', '139GiB'];
    const [text, json] = await Promise.all([hint('memory', ...budget), hint('memory', ...budget, '--json')]);
    expect(text.stdout).toMatch(/bf16 +bf16 +21\.8 GiB +0 bytes +43\.7 GiB +[\d.]+ MiB +65\.6 GiB/);
    expect(text.stdout).toMatch(/f32 +bf16 +both +.* chosen/);
    const report = JSON.parse(json.stdout) as {
      batch: { tasks: number };
      rows: {
        chosen: string;
        state: { total: number };
        modes: { mode: string; required: number; activations: Record<string, number> }[];
      }[];
    };
    expect(report.batch.tasks).toBe(Math.floor(16384 / (69 + 44 + 1)));
    expect(report.rows.map(({ chosen }) => chosen)).toEqual(['both', 'both', 'both']);
    for (const { state, modes } of report.rows) {
      expect(modes).toHaveLength(4);
      for (const { required, activations } of modes) {
        const { layers, modules, generators, passing, peak } = activations as Record<string, number>;
        expect(layers! + modules! + generators! + passing!).toBeCloseTo(peak!, -1);
        expect(required).toBeGreaterThan(state.total + peak!);
      }
    }
  });

  it('shows formula and what is held for every size, or for one model', async () => {
    const all = await hint('memory');
    expect(all.stdout).toMatch(/T5 v1\.1 xl +paper §C\.2 +204\.79 +554 +274/);
    expect(all.stdout).toMatch(/T5 v1\.1 xl +11725\.84 +5862\.92 +11281\.50/);
    expect(all.stdout).toMatch(/T5 v1\.1 xxl +held by the task cache +\d+\.\d\d +never +\d+/);
    const one = JSON.parse((await hint('memory', model, '--json')).stdout) as { prefixSites: number }[];
    expect(one).toHaveLength(1);
    expect(one[0]?.prefixSites).toBeGreaterThan(0);
  });
});

describe('hint bench compare', () => {
  it('names what got slower, and fails when asked to', async () => {
    const [before, after] = [join(folder, 'before.json'), join(folder, 'after.json')];
    const write = (path: string, seconds: number[]) =>
      writeFile(path, JSON.stringify({ parts: { inference: { samples: { 'engine t5 44': seconds } } } }));
    await write(before, [1, 1.01, 0.99]);
    await write(after, [1.3, 1.31, 1.32]);
    const told = await hint('bench', 'compare', before, after);
    expect(told.stdout).toMatch(/engine t5 44 .* 1\.31× +slower/);
    expect(told.code).toBe(0);
    expect((await hint('bench', 'compare', before, after, '--fail')).code).toBe(1);
    expect((await hint('bench', 'compare', after, before, '--fail')).code).toBe(0);
    expect((await hint('bench', 'compare', before, model)).stderr).toMatch(/^hint: .+\n$/);
  });
});

describe('hint estimate', () => {
  const SMALL = ['--size', 'small', '--examples', '6', '--tasks', '2'];

  it('prints what each op takes, for people, for machines and beside an earlier estimate', async () => {
    const { code, stdout: json } = await hint('estimate', ...SMALL, '--json');
    expect(code).toBe(0);
    const report = JSON.parse(json) as { utilization: number; ops: { op: string; share: number }[] };
    expect(report.utilization).toBeGreaterThan(0);
    expect(report.utilization).toBeLessThan(1);
    expect(report.ops.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    const file = join(folder, 'estimate.json');
    await writeFile(file, json);
    const { stdout } = await hint('estimate', ...SMALL, '--compare', file);
    expect(stdout).toMatch(/Nothing of this was measured on a GPU/);
    expect(stdout).toMatch(/^linear, backward .*\n/m);
    expect(stdout).toMatch(/ms before/);
    expect(stdout).toMatch(/^Before: Device/m);
  });

  it('prints what ranks would make of the step, and what it assumes of their network', async () => {
    const { stdout } = await hint('estimate', ...SMALL, '--ranks', '2', '--network', '100Gb/s');
    expect(stdout).toMatch(/Estimate for 2 ranks: .* % of what 2 devices do that wait for nobody/);
    expect(stdout).toMatch(
      /Assumed, not measured: hosts of 8 devices; 382\.5 GB\/s within a host and 10\.6 GB\/s/,
    );
  });

  it.each([
    [['--size', 'small', '--tasks', '9', '--examples', '8'], /8 examples of 9 tasks cannot be counted/],
    [['--size', 'small', '--examples', '1000000', '--input', '100000'], /at most 67108864 are counted/],
    [['--size', 'xxl'], /has room for .* Choose --param-dtype bf16/],
    [['--size', 'small', '--measure'], /--measure takes the step on this machine/],
    [['--size', 'small', '--compare', 'package.json'], /package\.json is no estimate: .* is missing/],
    [['--size', 'small', '--device', 'h900'], /h900/],
    [['--size', 'small', '--ranks', '4', '--network', '400'], /--network is 400; give .* such as 400Gb\/s/],
    [['--size', 'small', '--examples', '8', '--ranks', '9'], /9 ranks cannot share a step of \d tasks/],
  ])('refuses %j in a sentence', async (parameters, message) => {
    const { code, stderr } = await hint('estimate', ...parameters);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
