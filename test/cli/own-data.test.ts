import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const tokenizer = join(root, 'test/fixtures/tokenizer');

function hint(...parameters: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
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
let good: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-own-cli-'));
  good = join(folder, 'good.jsonl');
  const records = Array.from({ length: 60 }, (_, i) => ({
    instruction: `Say the word of task ${i % 5}.`,
    input: `word ${i} ☃`,
    output: 'ok',
  }));
  await writeFile(good, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('own data on the command line', () => {
  it('is checked by file, line and field, a bounded number of times, with an exit code', async () => {
    expect(await hint('data', good, '--check')).toMatchObject({
      code: 0,
      stdout: '1 files, 60 records, 0 faults.\n',
    });
    const bad = join(folder, 'bad.jsonl');
    const lines = [
      '{"instruction": "i", "output": "o"}',
      '{"output": 5}',
      'none',
      ...Array<string>(100).fill('{}'),
    ];
    await writeFile(bad, lines.join('\n'));
    const { code, stdout } = await hint('data', bad, '--check');
    expect(code).toBe(1);
    const told = stdout.trimEnd().split('\n');
    expect(told).toHaveLength(52);
    expect(told[0]).toBe(`${bad}, line 2: field instruction is missing`);
    expect(told[1]).toMatch(/line 2: field output is 5/);
    expect(told[2]).toMatch(/line 3 is not valid JSON/);
    expect(told.slice(-2)).toEqual(['… and 153 more', '1 files, 103 records, 203 faults.']);
    const json = JSON.parse((await hint('data', bad, '--check', '--json')).stdout) as { faults: string[] };
    expect(json).toMatchObject({ kind: 'own', records: 103, faultCount: 203 });
    expect(json.faults).toHaveLength(50);
  });

  it('is checked of the other kinds too', async () => {
    const checked = [
      await hint('data', join(root, 'test/fixtures/sni'), '--check'),
      await hint('data', join(root, 'test/fixtures/p3'), '--check'),
    ];
    for (const { stdout } of checked)
      expect(stdout).toMatch(/\d+ files, \d+ (instances|rows), \d+ faults\.\n$/);
  });

  it('is shown, with its unknown pieces counted and a sentence where the tokenizer is missing', async () => {
    const { code, stdout, stderr } = await hint('data', good, '--tokenizer', tokenizer, '--tasks', '1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/"Say the word of task 0\."/);
    expect(stderr).toMatch(/all: 5 tasks, 60 examples; 60 of \d+ tokens are unknown pieces\./);
    const refused = await hint('data', good);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toMatch(/Give --tokenizer/);
  });

  it('is measured, and what is measured counts FLOPs', async () => {
    const measured = await hint(
      'data',
      good,
      '--tokenizer',
      tokenizer,
      '--statistics',
      '--positives',
      '1',
      '--json',
    );
    const statistics = JSON.parse(measured.stdout) as { splits: { split: string; examples: number }[] };
    expect(statistics).toMatchObject({
      kind: 'own',
      shots: 1,
      splits: [{ split: 'train' }, { split: 'test' }],
    });
    expect(statistics.splits[0]!.examples + statistics.splits[1]!.examples).toBe(60);
    const file = join(folder, 'statistics.json');
    await writeFile(file, measured.stdout);
    const flops = await hint('flops', '--size', 'small', '--data', file, '--split', 'train', '--json');
    const median = (statistics.splits[0] as unknown as { median: Record<string, number> }).median;
    expect(JSON.parse(flops.stdout)).toMatchObject({
      instruction: Math.ceil(median['instruction']!),
      input: Math.ceil(median['input']!),
      output: Math.ceil(median['target']!),
    });
    const wrong = await hint('flops', '--size', 'small', '--data', good);
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toMatch(/good\.jsonl/);
    expect(wrong.stderr).not.toMatch(/\n\s+at /);
    expect((await hint('flops', '--size', 'small', '--data', file, '--split', 'dev')).stderr).toMatch(
      /no split "dev"; it has train, test/,
    );
  });

  it(
    'trains a model that is evaluated on the records it was not trained on',
    { timeout: 120_000 },
    async () => {
      const output = join(folder, 'run');
      const init = join(root, 'models/demo-t5');
      const trained = await hint(
        ...['train', '--data', good, '--init', init, '--output', output, '--steps', '1'],
        ...['--set', 'batchSize=4', '--set', 'data.testFraction=0.7', '--set', 'data.splitBy=task'],
      );
      expect(trained.stderr).not.toMatch(/warning/);
      expect(trained.code).toBe(0);
      const scored = await hint('eval', join(output, 'model'), '--data', good, '--max-tokens', '2', '--json');
      const { scores } = JSON.parse(scored.stdout) as {
        scores: { count: number; perTask: Record<string, object> };
      };
      expect(scores.count % 12).toBe(0);
      expect(scores.count).toBeLessThan(60);
      expect(Object.keys(scores.perTask)).toHaveLength(scores.count / 12);
    },
  );
});
