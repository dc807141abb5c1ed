import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainFromConfig } from '../../src/training/run/run.js';
import { packageRoot } from '../../src/util/package-root.js';
import { tinyRun } from '../training/run-setup.js';
import { FIXTURES } from '../training/tiny.js';

function hint(parameters: string[], cwd?: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const main = join(packageRoot(), 'dist/bundle/cli/main.js');
  return new Promise((done) => {
    execFile(process.execPath, [main, ...parameters], { cwd }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

let scratch: string;
let run: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-cli-publish-'));
  run = join(scratch, 'run');
  const validation = { split: 'test', every: 3, instancesPerTask: 2 };
  await trainFromConfig(tinyRun(run, { validation }));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('hint publish', () => {
  it('writes a folder whose commands work in it, and give the scores that stand beside them', async () => {
    const to = join(scratch, 'published');
    const { code, stdout, stderr } = await hint(['publish', run, '--to', to, '--dataset', 'acme/tasks']);
    expect([code, stderr]).toEqual([
      0,
      'No licence is stated; name one with --license, such as apache-2.0.\n',
    ]);
    expect(stdout).toContain('README.md');
    const card = await readFile(join(to, 'README.md'), 'utf8');
    const scored = /^hint (eval .*)$/m.exec(card)?.[1] as string;
    const data = join(FIXTURES, 'sni');
    const result = await hint([...scored.replace('DATA', data).split(' '), '--json'], to);
    const { scores } = JSON.parse(result.stdout) as { scores: { rougeL: number; exactMatch: number } };
    expect(card).toContain(`| RougeL | ${Number(scores.rougeL.toPrecision(6))} |`);
    expect(card).toContain(`| exact match | ${Number(scores.exactMatch.toPrecision(6))} |`);
    const used = /^npx hint (run \. --task \S+) --input '(.*)'$/m.exec(card) as RegExpExecArray;
    const answered = await hint([...used[1]!.split(' '), '--input', used[2]!, '--max-tokens', '2'], to);
    expect([answered.code, answered.stdout.trim().split('\n')]).toEqual([0, [expect.any(String)]]);
  });

  it('takes the instructions that it is given, and no others', async () => {
    const to = join(scratch, 'named');
    const task = join(FIXTURES, 'sni/tasks/task2012_trec_question_type_classification.json');
    const given = ['--definition', 'Copy the word.', '--task', task, '--license', 'mit', '--json'];
    const { code, stdout } = await hint(['publish', run, '--to', to, ...given]);
    expect(code).toBe(0);
    const { tasks, files } = JSON.parse(stdout) as { tasks: { file: string }[]; files: string[] };
    const names = [
      'tasks/task-1.safetensors',
      'tasks/task2012_trec_question_type_classification.safetensors',
    ];
    expect(tasks.map(({ file }) => file)).toEqual(names);
    expect(files).toEqual(expect.arrayContaining(names));
  });

  it.each([
    [['publish', '/nowhere', '--to', 'x'], 1, /\/nowhere holds no training run/],
    [['publish', '/nowhere'], 2, /required option '--to <directory>'/],
    [['publish', 'RUN', '--to', 'TAKEN'], 2, /has files in it; give a new folder, or remove it/],
    [['publish', 'RUN', '--to', 'NEW', '--task', '/nowhere.json'], 1, /nowhere\.json/],
  ])('answers %j with one sentence and exit code %i', async (parameters, expected, sentence) => {
    const taken = join(scratch, 'taken');
    if (!existsSync(taken)) await hint(['publish', run, '--to', taken]);
    await rm(join(taken, 'README.md'), { force: true });
    await writeFile(join(taken, 'mine.txt'), '');
    const places: Record<string, string> = { RUN: run, TAKEN: taken, NEW: join(scratch, 'new') };
    const { code, stderr } = await hint(parameters.map((one) => places[one] ?? one));
    expect([code, stderr]).toEqual([expected, expect.stringMatching(sentence)]);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(existsSync(join(scratch, 'new'))).toBe(false);
  });
});
