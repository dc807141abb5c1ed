import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TOKENIZER } from '../inference/models.js';
import { LIBRARY, runProgram, writeWideModel } from './programs.js';
import { recordCount, rounds, TIME_LIMIT } from './rounds.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-cycles-'));
  // Reading a tokenizer as people have them takes much of a cycle: the short form does without.
  await writeWideModel(join(folder, 'model'), rounds() >= 200 ? TOKENIZER : undefined);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

// Readings go up and down with what the collector has not done yet: the least of many counts.
const WINDOW = rounds() >= 200 ? 25 : 10;
const window = (end: number): number[] => Array.from({ length: WINDOW }, (_, i) => end - WINDOW + 1 + i);

it(
  'engines that are opened and closed one after the other leave no memory behind',
  async () => {
    // The long form goes to cycle 1,000.
    const last = Math.max(80, Math.round(5 * rounds()));
    const { code, said } = await runProgram(
      'cycles.mjs',
      { library: LIBRARY, model: join(folder, 'model'), at: [...window(50), ...window(last)] },
      // The young generation of V8's heap doubles when it will, up to 100 MB.
      ['--expose-gc', '--max-semi-space-size=2'],
      // Each engine's threads meet other arenas of glibc than those before, and what is free in one serves no other: with
      // several, 10 MB come and go for hundreds of cycles, and a leak of as much would not show.
      { MALLOC_ARENA_MAX: '1' },
    );
    const lines = said
      .trim()
      .split('\n')
      .map((line) => line.split(' ').map(Number));
    expect({ code, said, count: lines.length }).toEqual({ code: 0, said, count: 2 * WINDOW });
    const least = (some: number[][], column: number): number =>
      Math.min(...some.map((line) => line[column]!));
    const growth = (column: number): number =>
      least(lines.slice(WINDOW), column) / least(lines.slice(0, WINDOW), column);
    if (rounds() >= 200) {
      // Of some 60 MB: a leak of 4 KiB a cycle shows.
      expect(growth(1), said).toBeLessThanOrEqual(1.05);
      expect(growth(2), said).toBeLessThanOrEqual(1.02);
    } else {
      // Of some 35 MB: a leak of 20 KiB a cycle shows.
      expect(growth(2), said).toBeLessThanOrEqual(1.03);
    }
    recordCount('open and close cycles', last);
  },
  TIME_LIMIT,
);
