import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { CounterRng } from '../../src/util/counter-rng.js';

/** Rounds of each kind in tests of random moments: HINT_TEST_ROUNDS, or 20. */
export function rounds(): number {
  return Number(process.env['HINT_TEST_ROUNDS'] ?? 20);
}

/** Time limit in milliseconds of a test of all rounds, enough on a busy machine. */
export const TIME_LIMIT = 45_000 * rounds();

/** Numbers from [0, 1) that are the same for the same name and HINT_TEST_SEED (default 1). */
export function uniform(name: string): () => number {
  const seed = Number(process.env['HINT_TEST_SEED'] ?? 1);
  const random = new CounterRng(seed, createHash('sha256').update(name).digest().readUInt32LE());
  return () => random.uniform();
}

/** Appends the count of a test to the file HINT_TEST_COUNTS, if it is set, as one line of JSON. */
export function recordCount(name: string, count: number): void {
  const file = process.env['HINT_TEST_COUNTS'];
  if (file) appendFileSync(file, `${JSON.stringify({ name, count })}\n`);
}
