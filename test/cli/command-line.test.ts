import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
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
    const child = execFile(
      process.execPath,
      [join(root, 'dist/bundle/cli/main.js'), ...parameters],
      (error, stdout, stderr) =>
        done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
    child.stdin?.end();
  });
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-cli-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the command line', () => {
  it.each([
    [['trian'], /unknown command/],
    [['verify', '/nowhere'], /The directory \/nowhere cannot be read/],
    [['verify', model, '--device', 'tpu'], /The device "tpu"/],
    [['inspect', '/nowhere'], /\/nowhere does not exist/],
    [['score', '/nowhere'], /\/nowhere/],
    [
      ['run', model, '--input', 'x', '--task', 'a', '--definition', 'b'],
      /Give --task .*, --definition .*, or neither/,
    ],
    [['run', model, '--input', 'x'], /whose hypernetwork reads the instruction .*: it needs one/],
    [['compile', model, '--output', 'x'], /Give either --definition .* or --task/],
    [['eval', '/nowhere', '--data', '/nowhere'], /\/nowhere/],
    [['train', '--set', 'sytem=hint'], /sytem/],
    [['train', '--steps', 'many', '--output', 'x'], /steps/],
    [['data', '/nowhere', '--tokenizer', join(root, 'test/fixtures/tokenizer')], /nowhere/],
    [['demo', '--output', model], /is not empty; give --output a new folder/],
    [['eval', model, '--data', '/nowhere'], /\/nowhere does not exist; check the path/],
    [
      ['eval', model, '--data', join(root, 'test/fixtures/sni'), '--split', 'dev'],
      /The split "dev" is unknown/,
    ],
    [['doctor', '--threads', '4'], /unknown option/],
    [['reproduce', 'table1', '--demo', '--seeds', 'a'], /--seeds is "a"; give whole numbers with commas/],
    [['reproduce', 'table1', '--max-tokens', '1048577'], /--max-tokens is "1048577"; .* from 1 to 1048576/],
    [
      ['reproduce', 'published', 'tk-instruct-base', '--data', '/nowhere', '--batch-size', '1e9'],
      /--batch-size is "1e9"; .* from 1 to 1048576/,
    ],
    [['reproduce', 'table1', '--demo', '--output', ''], /--output is empty; give a path/],
    [['prepare', 'c4', '', 'made'], /The argument <source> is empty; give a path/],
    [['pretrain', '--text', 'a', '', '--output', 'x'], /--text is empty/],
  ])('answers %j with one sentence and a failing exit code', async (parameters, sentence) => {
    const { code, stderr } = await hint(...parameters);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('lists the systems, for people and as JSON', async () => {
    const [text, json] = await Promise.all([hint('systems'), hint('systems', '--json')]);
    const systems = JSON.parse(json.stdout) as { name: string; options: string[] }[];
    expect(systems.find(({ name }) => name === 'lora')?.options).toContain('loraRanks');
    for (const { name } of systems) expect(text.stdout).toMatch(new RegExp(`^${name} `, 'm'));
  });

  it('starts a model from a directory or from a size, not from both', async () => {
    const { code, stderr } = await hint('train', '--init', 'x', '--size', 'base');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/--init x and --size base exclude each other/)]);
  });

  it('gives errors as JSON to those who asked for JSON', async () => {
    const { stdout, code } = await hint('inspect', '/nowhere', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'NOT_FOUND', message: expect.stringContaining('/nowhere') as string },
    });
  });

  it('says what the files of a model ask for and is not done', async () => {
    const copy = join(folder, 'penalised');
    await cp(join(root, 'test/fixtures/families/t5-v1.0'), copy, { recursive: true });
    await writeFile(join(copy, 'generation_config.json'), '{"no_repeat_ngram_size": 3}');
    const { stdout, code } = await hint('inspect', copy);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/notices +generation_config.json asks for no_repeat_ngram_size 3,/)]); // prettier-ignore
  });

  it('scores predictions as JSON', async () => {
    const file = join(folder, 'predictions.jsonl');
    await writeFile(
      file,
      `${JSON.stringify({ id: 'a', task: 't', prediction: 'positive', references: ['Positive sentiment'] })}\n`,
    );
    const { stdout, code } = await hint('score', file, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      rougeL: 66.6667,
      exactMatch: 0,
      count: 1,
      perTask: { t: { count: 1 } },
    });
  });

  it('verifies a fixture of the original code, tensor by tensor', async () => {
    const { stdout, code } = await hint('verify', join(root, 'test/fixtures/original/greedy'), '--json');
    const result = JSON.parse(stdout) as { passed: boolean; cases: { comparisons: unknown[] }[] };
    expect(code).toBe(0);
    expect(result.passed).toBe(true);
    expect(result.cases[0]?.comparisons.length).toBeGreaterThan(0);
  });

  it('fails verification when an expected value is off', async () => {
    const copy = join(folder, 'broken');
    const { cp, readFile } = await import('node:fs/promises');
    await cp(model, copy, { recursive: true });
    const expected = JSON.parse(await readFile(join(copy, 'expected.json'), 'utf8')) as {
      tokens: number[][];
    };
    (expected.tokens[0] as number[])[0] = 3;
    await writeFile(join(copy, 'expected.json'), JSON.stringify(expected));
    const { stdout, code } = await hint('verify', copy);
    expect(code).toBe(1);
    expect(stdout).toContain('FAIL');
  });

  it('describes a model from its headers', async () => {
    const { stdout } = await hint('inspect', model, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'model', missingTensors: [] });
  });

  it('describes an adapter of PEFT by what it changes', async () => {
    const adapter = resolve('test/fixtures/adapters/tiny/first');
    const { stdout } = await hint('inspect', adapter, '--json');
    const report = JSON.parse(stdout) as { kind: string; ranks: number[]; modules: { name: string }[] };
    expect(report).toMatchObject({
      kind: 'adapter',
      file: 'adapter_model.safetensors',
      ranks: [2],
      scales: [4],
    });
    expect(report.modules.every(({ name }) => /^decoder\..*\.[qv]$/.test(name))).toBe(true);
    const { stdout: text } = await hint('inspect', adapter);
    expect(text).toMatch(/^adapter first\n/);
  });

  it('reports what this machine has', async () => {
    const { stdout, code } = await hint('doctor', '--json');
    expect(code).toBe(0);
    const findings = JSON.parse(stdout) as { what: string; ok: boolean }[];
    expect(findings.find(({ what }) => what === 'CPU products')?.ok).toBe(true);
  });

  it('reports the instructions that are used, not those that a limit leaves out', async () => {
    process.env['HINT_MAX_ISA'] = 'baseline';
    try {
      const { stdout } = await hint('doctor', '--json');
      const findings = JSON.parse(stdout) as { what: string; found: string }[];
      expect(findings.find(({ what }) => what === 'instruction set')?.found).toBe('baseline only');
    } finally {
      delete process.env['HINT_MAX_ISA'];
    }
  });

  it('is told a limit of instructions that there is not', async () => {
    process.env['HINT_MAX_ISA'] = 'avx3';
    try {
      const { stdout, code } = await hint('doctor');
      expect(code).toBe(1);
      expect(stdout).toMatch(/native engine +HINT_MAX_ISA is "avx3"; give baseline, avx2, avx512,/);
    } finally {
      delete process.env['HINT_MAX_ISA'];
    }
  });
});
