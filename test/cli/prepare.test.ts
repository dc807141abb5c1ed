import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-prepare-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function hint(...parameters: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    const main = join(root, 'dist/bundle/cli/main.js');
    execFile(process.execPath, [main, ...parameters], { cwd: root }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

describe('hint prepare', () => {
  it('tells people how far it is and what is missing, and machines the counts', async () => {
    const target = join(folder, 'sni');
    const first = await hint('prepare', 'sni', 'test/fixtures/sni', target);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(
      /here +published\n.*\n.*default, train: tasks +2 +757\n.*default, train: examples, 100 a task +\d+ +75,417/,
    );
    expect(first.stderr).toMatch(/^prepare +0\/6 +splits\/default/);
    expect(first.stderr).toContain('no list of the test tasks of the track xlingual');
    expect(first.stderr).toContain('6 files were made, 0 were there.');
    const second = await hint('prepare', 'sni', 'test/fixtures/sni', target, '--json');
    expect(second.stderr).toBe('');
    expect(JSON.parse(second.stdout)).toMatchObject({
      made: 0,
      kept: 6,
      counts: [{ published: 757 }, {}, {}, {}],
    });
  });

  it.each([
    [['sni', '/nowhere'], 1, /No file \/nowhere/],
    [['p3', 'test/fixtures/sni'], 2, /give --templates/],
    [['c4', 'test/fixtures/sni'], 1, /no document of C4|is not valid JSON/],
  ])('answers %j with a sentence', async (parameters, code, sentence) => {
    const answer = await hint(
      'prepare',
      ...parameters,
      join(folder, parameters.join('-').replaceAll('/', '-')),
    );
    expect([answer.code, answer.stderr]).toEqual([code, expect.stringMatching(sentence)]);
    expect(answer.stderr).not.toMatch(/\n\s+at /);
  });
});

describe('hint data --statistics', () => {
  it("has the shape of the paper's Tables 7 and 8, with its figures beside, and counts its tables anew", async () => {
    const data = [
      'data',
      'test/fixtures/sni',
      '--tokenizer',
      'test/fixtures/tokenizer',
      '--statistics',
      '--positives',
      '2',
    ];
    const { code, stdout } = await hint(...data);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Table 7: median tokens, and the paper's of Super-NaturalInstructions/);
    expect(stdout).toMatch(/^input .+ 44$/m);
    expect(stdout).toMatch(/^instruction with 2 worked examples .+ 197$/m);
    expect(stdout).toMatch(/^train +2 +757 +\d+ +75,417 /m);
    const p3 = await hint(
      'data',
      'test/fixtures/p3',
      '--tokenizer',
      'test/fixtures/tokenizer',
      '--statistics',
      '--json',
    );
    const { splits } = JSON.parse(p3.stdout) as {
      splits: { split: string; examples: number; examplesUpToCap?: number }[];
    };
    const train = splits.find(({ split }) => split === 'train');
    expect(train?.examplesUpToCap).toBeGreaterThan(0);
  });
});
