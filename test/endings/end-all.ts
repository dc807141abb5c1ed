import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { tinyRun } from '../training/run-setup.js';
import { LIBRARY, runProgram, writeWideModel } from './programs.js';
import { recordCount, rounds, uniform } from './rounds.js';

const KINDS = ['generate', 'submit', 'compile', 'embed', 'train', 'load'];

let folder: string;
let programs = 0;

/**
 * Prepares the tests of a file: writes the model, and sets time limits for processes that take seconds on a slow
 * machine.
 */
export function prepareEndings(): void {
  vi.setConfig({ testTimeout: 3_600_000 });
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hint-endings-'));
    await writeWideModel(join(folder, 'model'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
}

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
    // Each worker loads the library, which takes longer than its work.
    workers: rounds() >= 200 ? 3 : 2,
  });
}

/** Ends the work of every kind at random moments, as many times as the tests are asked for. */
export async function endAll(
  ending: string,
  expected: number,
  perProcess: number,
  says: RegExp,
): Promise<void> {
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

/** The output of a process that ends silently. */
export const SILENT = /^$/;
