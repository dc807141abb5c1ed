import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
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
    '--output',
    join(folder, 'figure'),
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
  });
});
