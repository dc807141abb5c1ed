import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
// @ts-expect-error a script without types
import { architectureNames, environment } from '../../scripts/gpu/machine.mjs';
// @ts-expect-error a script without types
import { runSteps } from '../../scripts/gpu/steps.mjs';
// @ts-expect-error a script without types
import { gpuSteps, scaleOf } from '../../scripts/gpu/table.mjs';
// @ts-expect-error a script without types
import { ARCHIVE_MOST, TREE_MOST, trackedBytes } from '../../scripts/gpu/travel.mjs';

interface Step {
  name: string;
  part: string;
  minutes: number;
  env: Record<string, string>;
}

interface Summary {
  steps: { name: string; state: string; why?: string }[];
  waiting: string[];
}

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'hint-steps-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const summary = (): Summary => JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')) as Summary;
const node = (code: string): string[] => [process.execPath, '-e', code];

describe('the steps of a run on a GPU', () => {
  it('a step that fails, hangs or cannot start does not stop the next', async () => {
    const lines: string[] = [];
    const steps = [
      { name: 'fails', minutes: 1, commands: [node('process.exit(3)'), node('console.log("never")')] },
      { name: 'hangs', minutes: 0.01, commands: [node('setInterval(() => {}, 1000)')] },
      { name: 'is missing', minutes: 1, commands: [['/no/such/program']] },
      { name: 'is left out', minutes: 1, commands: [], skip: 'there is no such tool' },
      { name: 'works', minutes: 1, commands: [node('console.log("done")')] },
    ];
    await runSteps(steps, { folder, print: (line: string) => lines.push(line) });
    expect(summary().steps.map(({ state }) => state)).toEqual([
      'failed',
      'out of time',
      'failed',
      'skipped',
      'ok',
    ]);
    expect(summary().steps[0]?.why).toContain('exit code 3');
    const log = readFileSync(join(folder, 'log.txt'), 'utf8');
    expect(log).toMatch(/^done$/m);
    expect(log).not.toMatch(/^never$/m);
    expect(lines.filter((line) => line.startsWith('== '))).toHaveLength(2 * steps.length);
  });

  it('a run that is cut off leaves what was found, and what had not begun', async () => {
    const read = join(folder, 'summary.json');
    const later = `const { waiting, steps } = JSON.parse(require('fs').readFileSync(${JSON.stringify(read)}));
      process.exit(steps.length === 1 && waiting.join() === 'second,third' ? 0 : 1)`;
    await runSteps(
      [
        { name: 'first', minutes: 1, commands: [node('')] },
        { name: 'second', minutes: 1, commands: [node(later)] },
        { name: 'third', minutes: 1, commands: [node('')] },
      ],
      { folder, print: () => undefined },
    );
    expect(summary().steps.map(({ state }) => state)).toEqual(['ok', 'ok', 'ok']);
    expect(readFileSync(join(folder, 'summary.txt'), 'utf8')).toContain('3 ok, 0 failed');
  });

  it('when all time is used, the steps that are left are named and not begun', async () => {
    const wait = node('setInterval(() => {}, 1000)');
    await runSteps(
      [1, 2].map((number) => ({ name: `${number}`, minutes: 1, commands: [wait] })),
      {
        folder,
        minutes: 0.01,
        print: () => undefined,
      },
    );
    expect(summary().steps.map(({ state, why }) => [state, why?.includes('no time')])).toEqual([
      ['out of time', false],
      ['skipped', true],
    ]);
  });

  it('what a step leaves of its time goes to those behind it, and to none more than its own again', async () => {
    const lines: string[] = [];
    const steps = [
      { name: 'quick', minutes: 4, commands: [], skip: 'it is not needed' },
      { name: 'long', minutes: 10, commands: [node('')] },
      { name: 'short', minutes: 1, commands: [node('')] },
    ];
    await runSteps(steps, { folder, print: (line: string) => lines.push(line) });
    const limits = lines.flatMap((line) => /at most (.*)/.exec(line)?.[1] ?? []);
    expect(limits).toEqual(['4.0 min', '14.0 min', '2.0 min']);
  });

  it('a machine that is lent for a quarter of an hour is enough, and the most telling comes first', () => {
    const steps = gpuSteps({ scale: scaleOf('full'), build: false, results: folder }) as Step[];
    expect(steps.reduce((sum, { minutes }) => sum + minutes, 0)).toBeLessThanOrEqual(13.51);
    const places = [
      'build',
      'doctor',
      'all op cases',
      'with graphs',
      'without graphs',
      'op bench',
      'HINT step, xl',
      "PyTorch's step, xl",
      'compiled',
      'latency',
      'memcheck',
      'racecheck',
      'HINT step, xxl',
    ].map((words) => steps.findIndex(({ name }) => name.includes(words)));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places[0]).toBe(0);
  });

  it('tests that were built elsewhere find the CUDA library of this machine', () => {
    const steps = gpuSteps({ scale: scaleOf('full'), build: false, results: folder }) as Step[];
    const used = steps.filter(({ part }) => part !== 'build').map(({ env }) => env.HINT_CUDA_FOLDER);
    expect(new Set(used)).toEqual(
      new Set([process.env.HINT_CUDA_FOLDER || join(import.meta.dirname, '../../build/Release')]),
    );
  });

  it("folders of the machine's own libraries are kept, whether the first of them exists or not", () => {
    vi.stubEnv('LD_LIBRARY_PATH', '/no/such/folder:/usr/local/nvidia/lib64');
    try {
      const { LD_LIBRARY_PATH } = environment() as Record<string, string>;
      expect(LD_LIBRARY_PATH).toMatch(/^\/no\/such\/folder:\/usr\/local\/nvidia\/lib64(:|$)/);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('all that travels to such a machine is less than 64 MiB', () => {
    // The archive is held to its share where it is packed.
    expect((TREE_MOST as number) + (ARCHIVE_MOST as number)).toBeLessThan(64 * 2 ** 20);
    expect(trackedBytes()).toBeGreaterThan(2 ** 20);
    expect(trackedBytes()).toBeLessThanOrEqual(TREE_MOST as number);
  });

  it("architectures are those of the GPUs that are there, Hopper's with its own instructions", () => {
    expect(architectureNames('9.0\n9.0')).toBe('90a-real');
    expect(architectureNames('8.0\n12.0')).toBe('80-real;120-real');
    expect(architectureNames('[N/A]')).toBeUndefined();
  });
});
