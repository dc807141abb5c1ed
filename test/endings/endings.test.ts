import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { tinyRun } from '../training/run-setup.js';
import { LIBRARY, runProgram, writeWideModel } from './programs.js';
import { recordCount, rounds, uniform } from './rounds.js';

// Each ending is a process of its own, which takes seconds on a slow machine.
vi.setConfig({ testTimeout: 3_600_000 });

const KINDS = ['generate', 'submit', 'compile', 'embed', 'train', 'load'];

let folder: string;
let programs = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-endings-'));
  await writeWideModel(join(folder, 'model'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** One process that works on `kind` and ends by `ending` once for each delay. */
function end(ending: string, kind: string, delays: number[]): Promise<{ code: unknown; said: string }> {
  // The same delay may be drawn twice, and a run does not take the folder of another.
  const output = join(folder, 'runs', String(++programs));
  return runProgram('work.mjs', {
    library: LIBRARY,
    model: join(folder, 'model'),
    training: tinyRun(output, { steps: 1_000_000, saveEvery: 1_000_000 }),
    kind,
    ending,
    delays,
  });
}

/** Ends the work of every kind at random moments, as many times as the tests are asked for. */
async function endAll(ending: string, expected: number, perProcess: number, says: RegExp): Promise<void> {
  const total = rounds();
  const next = uniform(ending);
  for (let done = 0; done < total; done += perProcess) {
    const kind = KINDS[(done / perProcess) % KINDS.length] as string;
    const delays = Array.from({ length: Math.min(perProcess, total - done) }, () =>
      Math.round(next() ** 2 * 120),
    );
    const { code, said } = await end(ending, kind, delays);
    expect({ ending, kind, delays, code, said }).toEqual({
      ending,
      kind,
      delays,
      code: expected,
      said: expect.stringMatching(says) as string,
    });
  }
  recordCount(`endings: ${ending}`, total);
}

const SILENT = /^$/;

describe('ending a process in the middle of work', () => {
  it('by process.exit gives the code asked for', () => endAll('exit', 7, 1, SILENT));
  it('by an uncaught error gives 1 and that error alone', () =>
    endAll('error', 1, 1, /An error that nobody catches/));
  it('by an unhandled rejection gives 1', () => endAll('rejection', 1, 1, /A rejection that nobody catches/));
  it('starting other processes meanwhile harms neither', () => endAll('children', 7, 1, SILENT));
});

describe('ending workers in the middle of work leaves the process alive', () => {
  it('when they are terminated', () => endAll('worker terminated', 0, 5, SILENT));
  it('when an error in them is not caught', () => endAll('worker error', 0, 5, SILENT));
  it('when they call process.exit', () => endAll('worker exit', 0, 5, SILENT));
  it('when the process ends with them', () => endAll('exit beside workers', 7, 1, SILENT));
});
