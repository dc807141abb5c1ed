// Runs the CUDA back end in the checked emulator of native/tests/emulator, which finds races, misaligned and stray accesses,
// launches that a device refuses and recordings that keep too little. Needs CUDA's headers, and neither nvcc nor a GPU.
//   node scripts/test-emulator.mjs [--quick] [--seed N] [--part cases|calls|faults] [--build FOLDER]
//     in full: all op cases as on an H200 and on a small device, as on an A100 at odd element offsets, and replayed from a
//              graph; every CUDA call of a piece of work failing in turn; three planted faults of each kind
//     --quick: every kernel once, some of the failing calls, one planted fault of each kind
//     --part: only that of the three
//     --build: a folder that CMake has configured; build/ without it, which scripts/build.mjs makes
import { spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { globSync } from 'tinyglobby';
import { FAULTS } from './emulator/faults.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** Exit code of a process in which the emulator found something. */
const FOUND = 66;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    part: { type: 'string' },
    build: { type: 'string', default: 'build' },
  },
});
const BUILD = resolve(root, values.build);
const EMULATOR = join(BUILD, 'native', 'tests', 'emulator');
const CHECKED = join(BUILD, 'emulated', 'checked');
let failed = 0;

/** For the record that scripts/test-long.mjs keeps. */
function count(name, number) {
  if (process.env.HINT_TEST_COUNTS)
    appendFileSync(process.env.HINT_TEST_COUNTS, `${JSON.stringify({ name, count: number })}\n`);
}

function run(command, parameters, { environment = {}, folder = root } = {}) {
  const started = Date.now();
  const { status, signal, error, stdout, stderr } = spawnSync(command, parameters, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...environment },
  });
  const seconds = Math.round((Date.now() - started) / 1000);
  const why = error?.message ?? signal ?? `exit code ${status}`;
  return { status, said: `${stdout ?? ''}${stderr ?? ''}`, seconds, why };
}

/** Ends the script with what the command said when it fails. */
function mustRun(title, command, parameters, options) {
  const { status, said, seconds, why } = run(command, parameters, options);
  if (status !== 0) {
    process.stderr.write(said);
    console.error(`${title}: failed after ${seconds} s (${why})`);
    process.exit(1);
  }
  console.log(`${title}: ok (${seconds} s)`);
}

/** Prints the result; shows findings and failures. */
function tell(title, isGood, seconds, said, summary) {
  console.log(`${title}: ${isGood ? (summary ?? 'ok') : 'FAILED'} (${seconds} s)`);
  if (isGood) return;
  failed++;
  const lines = said
    .split('\n')
    .filter((line) => /FAILED|^ {4}|CUDA emulator|badly|failing with|Hangs|[A-Z_]+: /.test(line));
  console.log(`${(lines.length ? lines : said.split('\n').slice(-20)).slice(0, 60).join('\n')}`);
}

const stats = join(BUILD, 'ran.jsonl');
function opTests(title, options, environment, library = CHECKED) {
  const result = run(join(BUILD, 'native', 'tests', 'hint_op_tests'), ['--device', 'cuda', ...options], {
    environment: {
      HINT_CUDA_FOLDER: library,
      HINT_EMULATOR_SEED: values.seed,
      HINT_EMULATOR_STATS: stats,
      ...environment,
    },
  });
  if (title) {
    const cases = Number(/(\d+) of (\d+) op cases failed/.exec(result.said)?.[2] ?? 0);
    tell(title, result.status === 0, result.seconds, result.said, `${cases} op cases`);
    count(title, cases);
  }
  return result;
}

/** Names of all kernels. */
function kernelsOfSources() {
  const names = new Set();
  for (const file of globSync(['native/runtime/**/*.{cu,cuh}', 'native/ops/**/*.{cu,cuh}'], { cwd: root }))
    for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(
      /__global__ void\s+(?:__launch_bounds__\([^\n]*\)\s+)?(\w+)\(/g,
    ))
      names.add(name);
  return [...names];
}

/** The library with the fault, in a folder of its own; the sources stay as they are. */
function plant({ file, from, to }, index) {
  const folder = join(BUILD, 'planted', String(index));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const text = readFileSync(join(root, file), 'utf8');
  if (!text.includes(from))
    throw new Error(`${file} has no "${from}" to plant a fault at; mend scripts/emulator/faults.mjs`);
  const source = join(folder, 'fault.cu');
  writeFileSync(
    source,
    text.replace(from, () => to),
  );
  const steps = [['node', [join(root, 'scripts', 'emulate-cuda.mjs'), source, `${source}.cc`, file], root]];
  const commands = JSON.parse(readFileSync(join(BUILD, 'compile_commands.json'), 'utf8'));
  const unit = commands.find(({ command }) => command.includes('hint_cuda_checked_kernels.dir'));
  const compile = unit.command.replace(/ -o .*$/, ` -o ${source}.o -c ${source}.cc`);
  steps.push(['sh', ['-c', compile], unit.directory]);
  // The planted file precedes the original, so that the linker takes it.
  const link = readFileSync(join(EMULATOR, 'CMakeFiles', 'hint_cuda_checked.dir', 'link.txt'), 'utf8');
  steps.push([
    'sh',
    ['-c', link.trim().replace(/ -o \S+/, ` -Wl,-z,muldefs -o ${join(folder, 'hint_cuda.so')} ${source}.o`)],
    EMULATOR,
  ]);
  for (const [command, parameters, cwd] of steps) {
    const { status, said } = run(command, parameters, { folder: cwd });
    if (status !== 0) throw new Error(`${file} with its fault cannot be built:\n${said}`);
  }
  return folder;
}

if (!existsSync(join(BUILD, 'native', 'tests', 'Makefile')))
  mustRun('Built the native tests', process.execPath, ['scripts/build.mjs', '--native', '--tests']);
mustRun('Configured', 'cmake', ['-S', '.', '-B', BUILD, '-DHINT_EMULATOR=ON']);
mustRun('Built', 'cmake', [
  '--build',
  BUILD,
  '--parallel',
  process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism()),
  '--target',
  'hint_cuda_checked',
  'hint_op_tests',
  'hint_cuda_sweep',
]);

function cases() {
  rmSync(stats, { force: true });
  if (values.quick) {
    opTests('Every op, as on an H200', ['--first'], { HINT_EMULATOR_DEVICE: 'h200' });
    opTests('Every op, replayed', ['--first', '--replay'], {
      HINT_EMULATOR_DEVICE: 'h200',
      HINT_EMULATOR_SMS: '2',
    });
    // Ops whose first cases do not run all of their kernels.
    for (const op of ['adafactor', 'decode_attention'])
      opTests(`All cases of ${op}`, ['--op', op, '--dtype', 'f32'], { HINT_EMULATOR_DEVICE: 'h200' });
  } else {
    opTests('All cases, as on an H200', [], { HINT_EMULATOR_DEVICE: 'h200' });
    opTests('All cases, as on a small device', [], {});
    opTests('All cases at odd offsets, as on an A100', ['--offset', '1'], { HINT_EMULATOR_DEVICE: 'a100' });
    opTests('All cases, replayed', ['--replay'], { HINT_EMULATOR_DEVICE: 'h200', HINT_EMULATOR_SMS: '2' });
  }
  const ran = new Set();
  let launches = 0;
  for (const line of existsSync(stats) ? readFileSync(stats, 'utf8').split('\n').filter(Boolean) : []) {
    const one = JSON.parse(line);
    launches += one.launches;
    for (const name of one.kernels) ran.add(name.replace(/<.*$/s, '').split('::').at(-1));
  }
  count('launches', launches);
  const missed = kernelsOfSources().filter((name) => !ran.has(name));
  tell(
    'Kernels that ran',
    missed.length === 0,
    0,
    `    no case reaches ${missed.join(', ')}`,
    `all ${ran.size}`,
  );
}

function calls() {
  const { status, said, seconds } = run(join(EMULATOR, 'hint_cuda_sweep'), values.quick ? ['29'] : [], {
    environment: { HINT_CUDA_FOLDER: CHECKED },
  });
  const [, badly, tried] = /(\d+) of (\d+) failing CUDA calls/.exec(said) ?? [];
  tell('Failing CUDA calls', status === 0, seconds, said, `${tried} failed, ${badly} ended badly`);
  count('failing CUDA calls', Number(tried ?? 0));
}

function faults() {
  let found = 0;
  const kinds = new Set();
  for (const [index, fault] of FAULTS.entries()) {
    if (values.quick && kinds.has(fault.kind)) continue;
    kinds.add(fault.kind);
    const started = Date.now();
    const { status, said } = opTests('', fault.run, { HINT_EMULATOR_STOP: '1' }, plant(fault, index));
    const report = said.split('\n').find((line) => fault.found.test(line));
    const isFound = report !== undefined && status !== 0;
    if (isFound) found++;
    tell(
      `Planted: ${fault.kind} in ${fault.file}`,
      isFound,
      Math.round((Date.now() - started) / 1000),
      `    not found, exit code ${status}${status === FOUND ? ', but something else was' : ''}\n${said}`,
      `found, ${report?.slice(report.indexOf('CUDA')).trim().slice(0, 200)}`,
    );
  }
  count('planted faults found', found);
}

const parts = { cases, calls, faults };
if (values.part && !(values.part in parts)) {
  console.error(`There is no part "${values.part}"; use ${Object.keys(parts).join(', ')}.`);
  process.exit(2);
}
for (const [name, part] of Object.entries(parts)) if (!values.part || values.part === name) part();
process.exit(failed === 0 ? 0 : 1);
