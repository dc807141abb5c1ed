import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const written = join(root, 'test/fixtures/version-0.1.0/runs');

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
const at = (...names: string[]): string => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-runs-cli-'));
  for (const name of ['hint', 'gpt2']) await cp(join(written, name), at(name), { recursive: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('training runs on the command line', () => {
  it('are drawn into a picture, which replaces no file of another kind', async () => {
    const picture = at('curves.png');
    const args = ['plot', at('hint'), at('gpt2'), '--output', picture, '--curves', 'loss,memory'];
    expect(await hint(...args)).toMatchObject({ code: 0, stdout: `Written: ${picture}\n` });
    expect((await readFile(picture)).subarray(1, 4).toString()).toBe('PNG');
    await writeFile(picture, 'notes of my own');
    expect(await hint(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining('curves.png') });
    expect(await readFile(picture, 'utf8')).toBe('notes of my own');
    expect((await hint('plot', folder, '--output', at('b.svg'))).stderr).toMatch(/holds no training run/);
    expect((await hint('plot', at('hint'), '--output', at('b.jpg'))).stderr).toMatch(/\.svg or \.png/);
  });

  it('are listed and compared, those of earlier versions too, and damaged ones are left out by name', async () => {
    await cp(at('hint'), at('broken'), { recursive: true });
    await writeFile(at('broken', 'config.json'), '{');
    const listed = await hint('runs', 'list', folder, '--json');
    expect(listed.stderr).toMatch(/warning: .*broken is left out: /);
    expect(JSON.parse(listed.stdout)).toMatchObject([
      { path: at('gpt2'), system: 'gpt2', finished: true, results: { step: 4 } },
      { path: at('hint'), system: 'hint', finished: true, results: { step: 4 } },
    ]);
    const compared = await hint('runs', 'compare', at('hint'), at('gpt2'));
    expect(compared.stdout).toMatch(/^system +"hint" +"gpt2"$/m);
    expect(await hint('runs', 'compare', at('hint'))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('give at least 2 to compare'),
    });
  });

  it('are what a model is asked for where one is: the model of the run is taken, and told', async () => {
    const { code, stdout, stderr } = await hint('memory', at('hint'));
    expect([code, stderr]).toEqual([
      0,
      `${at('hint')} is a training run; the model is ${at('hint', 'model')}\n`,
    ]);
    expect(stdout).not.toBe('');
  });
});
