// Runs every parser of foreign files, and the native targets where clang is installed, on inputs that are changed at
// random.
//   node scripts/fuzz.mjs [--minutes N] [--parser NAME]... [--seed S] [--record FILE]     needs a build
//     --minutes   in all (default 10)
//     --record    writes date, commit, machine and counts as JSON
// Findings are minimised and put into test/fuzz/corpus, and end it with 1.
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fuzzParser } from '../test/fuzz/fuzz.mjs';
import { fuzzNative, NATIVE_TARGETS } from '../test/fuzz/native.mjs';
import { PARSERS } from '../test/fuzz/parsers.mjs';

const root = resolve(import.meta.dirname, '..');
const names = [...Object.keys(PARSERS), ...NATIVE_TARGETS];

function fail(message) {
  console.error(message);
  process.exit(2);
}

let given;
try {
  given = parseArgs({
    options: {
      minutes: { type: 'string', default: '10' },
      parser: { type: 'string', multiple: true },
      seed: { type: 'string' },
      record: { type: 'string' },
    },
  }).values;
} catch (error) {
  fail(error.message);
}
const minutes = Number(given.minutes);
if (!(minutes > 0)) fail(`--minutes is ${given.minutes}; give a number above 0.`);
const seed = given.seed === undefined ? randomInt(2 ** 31) : Number(given.seed);
if (!Number.isSafeInteger(seed) || seed < 0)
  fail(`--seed is ${given.seed}; give a whole number of at least 0.`);
const chosen = given.parser ?? names;
const unknown = chosen.find((name) => !names.includes(name));
if (unknown) fail(`There is no parser ${unknown}; there are ${names.join(', ')}.`);
if (!existsSync(join(root, 'dist', 'index.js'))) fail('Nothing is built; run npm run build first.');

const milliseconds = (minutes * 60_000) / chosen.length;
const counts = {};
let failed = 0;
console.log(`Seed ${seed}; ${(milliseconds / 1000).toFixed(0)} s for each of ${chosen.length} parsers.`);
for (const name of chosen) {
  const result = NATIVE_TARGETS.includes(name)
    ? fuzzNative(name, { seed, milliseconds, keep: true })
    : await fuzzParser(name, { seed, milliseconds, keep: true });
  if (result.leftOut) {
    console.log(`${name.padEnd(18)} left out: ${result.leftOut}`);
    continue;
  }
  counts[name] = { inputs: result.inputs, findings: result.findings.length };
  failed += result.findings.length;
  console.log(
    `${name.padEnd(18)} ${String(result.inputs).padStart(8)} inputs, ${result.findings.length} findings`,
  );
  for (const { fault, bytes } of result.findings)
    console.log(
      `  ${bytes.length} bytes ${JSON.stringify(bytes.subarray(0, 100).toString('latin1'))}\n  ${fault}`,
    );
}
const inputs = Object.values(counts).reduce((sum, one) => sum + one.inputs, 0);
// Counts for the record that scripts/test-long.mjs writes into docs/reliability.md.
if (process.env.HINT_TEST_COUNTS) {
  const rows = [['inputs', inputs], ['parsers', Object.keys(counts).length], ['findings', failed]]; // prettier-ignore
  for (const [name, count] of rows)
    appendFileSync(process.env.HINT_TEST_COUNTS, `${JSON.stringify({ name, count })}\n`);
}
if (given.record)
  writeFileSync(
    given.record,
    `${JSON.stringify(
      {
        part: 'fuzz',
        date: new Date().toISOString(),
        commit: commit(),
        machine: { cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism() },
        command: `npm run test:fuzz -- ${process.argv.slice(2).join(' ')}`,
        seed,
        counts,
        failed,
      },
      null,
      2,
    )}\n`,
  );
console.log(`${inputs} inputs to ${Object.keys(counts).length} parsers, ${failed} findings.`);
process.exitCode = failed > 0 ? 1 : 0;

function commit() {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
