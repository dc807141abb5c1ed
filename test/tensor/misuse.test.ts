import { describe, expect, it } from 'vitest';
import { native } from '../../src/tensor/native.js';
import { misuse } from './misuse/run.js';

// The short form: HINT_MISUSE_SEED, and scripts/test-sanitize.mjs for long ones.
const seed = Number(process.env['HINT_MISUSE_SEED'] ?? 20261128);

describe('random calls with random arguments', () => {
  it('of every op and every native export run or are refused with a HintError, and at least half run', async () => {
    const { total, missing } = await misuse(native(), { seed, iterations: 30 });
    expect(missing, `with HINT_MISUSE_SEED=${seed}`).toEqual([]);
    expect(total.done / total.calls).toBeGreaterThanOrEqual(0.5);
  });
});
