import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-cli-reproduce-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function reproduce(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const all = [
    join(root, 'dist/bundle/cli/main.js'),
    'reproduce',
    ...given,
    ...(given.includes('--output') ? [] : ['--output', join(folder, 'figure')]),
  ];
  return new Promise((done) => {
    execFile(process.execPath, all, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

describe('hint reproduce figure4', () => {
  it('measures latency by shots into the folder of the tables', async () => {
    const { code, stdout, stderr } = await reproduce('figure4', '--demo', '--shots', '0,1', '--rounds', '1', '--instances', '2'); // prettier-ignore
    expect(stderr).toContain('figure4.{json,md,svg,png}');
    expect(code).toBe(0);
    expect(stdout).toContain('| HINT, int8 | 1 | 44 + 133 once |');
    expect((await readdir(join(folder, 'figure'))).sort()).toEqual(
      [...['-break-even.png', '-break-even.svg'], ...['.json', '.md', '.png', '.svg']].map(
        (ending) => `figure4${ending}`,
      ),
    );
  });

  it('refuses what only training has, and the tables what only it has', async () => {
    const training = await reproduce('figure4', '--steps', '3');
    expect([training.code, training.stderr]).toEqual([2, expect.stringContaining('--steps does not apply to figure4')]); // prettier-ignore
    const grid = await reproduce('table1', '--demo', '--rounds', '3');
    expect([grid.code, grid.stderr]).toEqual([2, expect.stringContaining('--rounds belongs to figure4')]);
    const decoder = await reproduce('table2', '--demo', '--gpt2', 'x');
    expect([decoder.code, decoder.stderr]).toEqual([2, expect.stringContaining('--gpt2 is about decoder-only rows')]); // prettier-ignore
    const words = await reproduce('table1', '--demo', '--tokenizer', 'x');
    expect([words.code, words.stderr]).toEqual([2, expect.stringContaining('--demo has one of its own')]);
  });
});

describe('hint reproduce of the demo', () => {
  it.each([
    ['table1', ['--set', 'nonsense=1'], /nonsense/],
    ['table2', ['--set-pretraining', 'steps=-1'], /steps/],
    ['table1', ['--data', 'nowhere'], /Cannot read the data, .*nowhere/],
    ['table1', ['--text', 'nowhere'], /Nothing is at .*nowhere/],
    ['table1', ['--threads', '257'], /--threads is "257"/],
    ['table1', ['--adapter-size', '65537'], /adapterSize is 65537.* at most 65536/],
    ['table1', ['--device', 'gpu'], /gpu.* cpu, cuda/],
    // Where there is no GPU, and where there are fewer.
    ['table1', ['--device', 'cuda:99'], /CUDA|cuda/],
    ['all', ['--set-decoder', 'seed=3'], /seed is what table1 sets/],
    ['all', ['--p3', 'nowhere'], /Cannot read the data, .*nowhere/],
  ])('refuses %s with %j before it writes any of it', async (table, given, sentence) => {
    const output = join(folder, 'refused');
    const { code, stderr } = await reproduce(table, '--demo', ...given, '--output', output);
    expect(stderr).toMatch(sentence);
    expect(code).toBeGreaterThan(0);
    await expect(readdir(output)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('hint reproduce of tables of P3', () => {
  it('runs on the demo’s prompts, and tells accuracies by data set', async () => {
    const { code, stdout, stderr } = await reproduce('figure5', '--demo', '--steps', '1', '--instances', '1', '--seeds', '3', '--output', join(folder, 'p3')); // prettier-ignore
    expect([code, stderr]).toEqual([0, expect.stringContaining('figure5.png')]);
    expect(stdout).toMatch(/T0, trained again +average +demo-t5 +\d+\.\d +1\n/);
    const report = JSON.parse(await readFile(join(folder, 'p3/figure5.json'), 'utf8')) as { prompts: { template: string }[]; scope: object }; // prettier-ignore
    expect(report.prompts).toHaveLength(24);
    expect(report.scope).toMatchObject({
      data: "the demo's procedural prompts",
      steps: '2 steps, no pretraining',
      evaluation: '1 instance of each prompt of unseen tasks',
    });
    // The demo's data sets have no printed means.
    expect(await readFile(join(folder, 'p3/figure5.svg'), 'utf8')).not.toContain('as printed');
  });
});

describe('hint reproduce all', () => {
  it.each([
    [['--row', 'HINT', '--demo'], /--row is about one table, and all has several/],
    [
      ['--size', 'tiny'],
      /no data; give --data with Super-NaturalInstructions, --p3 with P3, or both, or --demo/,
    ],
  ])('refuses %s before anything is run', async (given, message) => {
    const { code, stderr } = await reproduce('all', ...given);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  it.each(['figure3-right.png', 'figure4.md'])(
    'refuses a %s that is none of its own before anything is run',
    async (name) => {
      const output = await mkdtemp(join(folder, 'mine-'));
      await writeFile(join(output, name), 'mine');
      const { code, stderr } = await reproduce('all', '--demo', '--output', output);
      expect([code, stderr]).toEqual([2, expect.stringContaining(name)]);
      expect(await readdir(output)).toEqual([name]);
      expect(await readFile(join(output, name), 'utf8')).toBe('mine');
    },
  );

  it('stopped by a signal, writes the report of what is done', async () => {
    const output = join(folder, 'all');
    const given = ['reproduce', 'all', '--demo', '--steps', '1', '--pretrain-steps', '1', '--instances', '1', '--output', output]; // prettier-ignore
    const child = spawn(process.execPath, [join(root, 'dist/bundle/cli/main.js'), ...given]);
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => {
      const before = stderr;
      stderr += String(text);
      // Once: a second signal would end it at once.
      if (stderr.includes('[2/11]') && !before.includes('[2/11]')) child.kill('SIGINT');
    });
    const [code] = (await once(child, 'close')) as [number];
    expect([code, stderr]).toEqual([130, expect.stringContaining('the same command goes on from here')]);
    const report = await readFile(join(output, 'all.md'), 'utf8');
    expect(report).toMatch(/\| table1 \| .* \| [12] of 11 cells \|/);
    for (const name of ['table10', 'figure5', 'figure4']) expect(report).toMatch(new RegExp(`\\| ${name} \\| .* \\| not begun \\|`)); // prettier-ignore
    expect(report).toContain('![Table 1: systems with and without examples');
  });

  it('has P3 and other data apart, which one table has not', async () => {
    const { code, stderr } = await reproduce('table2', '--p3', 'somewhere');
    expect([code, stderr]).toEqual([2, expect.stringContaining('--p3 belongs to all')]);
  });
});
