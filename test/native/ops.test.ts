import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { opTable } from '../../src/tensor/device.js';

const run = promisify(execFile);
const folder = resolve(import.meta.dirname, '../../build/native/tests');
const opTests = join(folder, 'hint_op_tests');
const runtimeTests = join(folder, 'hint_runtime_tests');
/** The ops that multiply matrices, by kernels of their own for each kind of processor. */
const PRODUCTS = ['linear', 'grouped_linear', 'packed_linear', 'pack_weight', 'cross_entropy'];

interface Case {
  op: string;
  case: string;
  threads: number;
  forwardError: number;
  gradientError: number;
  failures: string[];
}

let cases: Case[] = [];

beforeAll(async () => {
  if (!existsSync(opTests))
    throw new Error('The native tests are not built; run "npm run build -- --tests".');
  // A failing case makes the exit code non-zero; its report is still on standard output.
  const { stdout } = await run(opTests, ['--json'], { maxBuffer: 1 << 26 }).catch(
    (error: { stdout: string }) => error,
  );
  cases = JSON.parse(stdout) as Case[];
}, 600_000);

describe('native ops', () => {
  it.each(opTable().map(({ name }) => name))(
    '%s agrees with its double-precision reference and with finite differences, on every shape, at 1 and 2 threads',
    (name) => {
      const own = cases.filter(({ op }) => op === name);
      expect(own.length).toBeGreaterThan(0);
      expect(own.filter(({ failures }) => failures.length > 0)).toEqual([]);
    },
  );

  it('the runtime frees, orders, fails and replays as it should', async () => {
    const { stdout } = await run(runtimeTests, [], { maxBuffer: 1 << 26 });
    expect(stdout).not.toMatch(/FAIL/);
  }, 300_000);

  it.each(['avx512-bf16', 'avx2'])(
    'products agree with their references where instructions end with %s, or before',
    async (isa) => {
      const env = { ...process.env, HINT_MAX_ISA: isa };
      const ops = PRODUCTS.flatMap((op) => ['--op', op]);
      const [values, edges] = await Promise.all([
        run(opTests, ops, { env, maxBuffer: 1 << 26 }),
        run(runtimeTests, [], { env, maxBuffer: 1 << 26 }),
      ]);
      expect(values.stdout).toMatch(/^0 of \d+ op cases failed/m);
      expect(edges.stdout).toMatch(/^0 of \d+ tests failed/m);
    },
    120_000,
  );
});
