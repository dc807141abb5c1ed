import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LIBRARY, runProgram, writeWideModel } from './programs.js';
import { recordCount, rounds, uniform, TIME_LIMIT } from './rounds.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-truncation-'));
  await writeWideModel(join(folder, 'model'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it(
  'a model file that is cut off while an engine reads it gives an error, not zeros and not the end of the process',
  async () => {
    const next = uniform('truncation');
    const cuts = Array.from({ length: rounds() }, () => ({
      delay: Math.round(next() ** 2 * 400),
      left: Math.floor(next() * 1000),
    }));
    const { code, said } = await runProgram('truncation.mjs', {
      library: LIBRARY,
      model: join(folder, 'model'),
      cuts,
    });
    const outcomes = said.trim().split('\n');
    expect({ code, count: outcomes.length }).toEqual({ code: 0, count: cuts.length });
    outcomes.forEach((outcome, i) => {
      expect({ cut: cuts[i], outcome }).toEqual({
        cut: cuts[i],
        outcome: expect.stringMatching(/^(INVALID_FILE|INVALID_CHECKPOINT)$/) as string,
      });
    });
    recordCount('truncations', cuts.length);
  },
  TIME_LIMIT,
);
