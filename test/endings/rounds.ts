import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { CounterRng } from '../../src/util/counter-rng.js';

/** How often tests of random moments try each of their kinds: 20, or what HINT_TEST_ROUNDS says. */
export function rounds(): number {
  return Number(process.env['HINT_TEST_ROUNDS'] ?? 20);
}

/** Milliseconds that a test of all rounds may take, on a machine that does much else beside. */
export const TIME_LIMIT = 45_000 * rounds();

/** Numbers from [0, 1) that are the same for the same name and HINT_TEST_SEED (default 1). */
export function uniform(name: string): () => number {
  const seed = Number(process.env['HINT_TEST_SEED'] ?? 1);
  const random = new CounterRng(seed, createHash('sha256').update(name).digest().readUInt32LE());
  return () => random.uniform();
}

/** Adds what a test has tried to the file HINT_TEST_COUNTS, if it is set: a JSON object a line. */
export function recordCount(name: string, count: number): void {
  const file = process.env['HINT_TEST_COUNTS'];
  if (file) appendFileSync(file, `${JSON.stringify({ name, count })}\n`);
}
