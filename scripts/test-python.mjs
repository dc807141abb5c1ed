// Tests that the engine reads files of Python's packages and that they read its files, with random cases that --first
// chooses.
//   node scripts/test-python.mjs [PART…] [--first N] [--count N]    all parts when none is named; a part is a folder of test/python
// make_cases.py of a part writes cases, compare.mjs compares, and check_cases.py, where there is one, opens the files that
// compare.mjs wrote. Needs dist/. A virtual environment is made in build-python/, from test/python/requirements.txt;
// HINT_TEST_PYTHON names a Python with these packages to use instead.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'test', 'python');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { first: { type: 'string' }, count: { type: 'string' } },
});
const parts = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'compare.mjs')));
const unknown = positionals.find((name) => !parts.includes(name));
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}"; use ${parts.join(', ')}.`);
  process.exit(2);
}

const python = process.env.HINT_TEST_PYTHON ?? environment();
const range = Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
let failed = 0;
for (const part of positionals.length > 0 ? positionals : parts) {
  const scratch = mkdtempSync(join(tmpdir(), `hint-test-${part}-`));
  const at = (name) => join(folder, part, name);
  run(python, at('make_cases.py'), scratch, ...range);
  // Both comparisons run, so that one fault does not hide another.
  const steps = [
    [process.execPath, at('compare.mjs')],
    ...(existsSync(at('check_cases.py')) ? [[python, at('check_cases.py')]] : []),
  ];
  const bad = steps.filter(([program, file]) => status(program, file, scratch) !== 0).length;
  failed += bad;
  if (bad === 0) rmSync(scratch, { recursive: true });
  else console.error(`${part}: the cases are in ${scratch}`);
}
process.exit(failed === 0 ? 0 : 1);

/** The Python of a virtual environment that has the packages of requirements.txt. */
function environment() {
  const home = join(root, 'build-python');
  const program = join(home, 'bin', 'python');
  const wanted = readFileSync(join(folder, 'requirements.txt'), 'utf8');
  const record = join(home, 'requirements.txt');
  if (existsSync(record) && readFileSync(record, 'utf8') === wanted) return program;
  run('python3', '-m', 'venv', home);
  run(
    program,
    '-m',
    'pip',
    'install',
    '--quiet',
    '--retries',
    '1',
    '--requirement',
    join(folder, 'requirements.txt'),
  );
  writeFileSync(record, wanted);
  return program;
}

function status(program, ...given) {
  const { status: code, error } = spawnSync(program, given, {
    stdio: 'inherit',
    cwd: root,
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  });
  if (error)
    console.error(
      `${program} did not start (${error.message}); install Python 3.10 or later, or set HINT_TEST_PYTHON.`,
    );
  return code ?? 1;
}

function run(program, ...given) {
  const code = status(program, ...given);
  if (code !== 0) process.exit(code);
}
