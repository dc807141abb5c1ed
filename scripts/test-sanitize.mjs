// Runs the native engine under sanitizers: the random calls of test/tensor/misuse, and the native tests.
//   node scripts/test-sanitize.mjs [--quick] [--seed N] [--iterations N] [--seconds N]
//     --quick: only the random calls, under ASan and most of UBSan, for .ci/run
//   In full: ASan and UBSan over native tests and random calls, then the three planted faults, each of which the random calls
//   must find, then TSan over the native tests of allocator, stream and replay.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    iterations: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const limits =
  (values.iterations ?? values.seconds)
    ? ['iterations', 'seconds'].flatMap((name) => (values[name] ? [`--${name}`, values[name]] : []))
    : ['--seconds', values.quick ? '20' : '120'];

/** Ends the script with the command's output when it fails. */
function run(title, command, parameters, options = {}) {
  const started = Date.now();
  const result = spawnSync(command, parameters, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
    env: { ...process.env, ...options.env },
  });
  const seconds = Math.round((Date.now() - started) / 1000);
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  if (result.status !== 0 && !options.mayFail) {
    process.stderr.write(said);
    console.error(
      `${title}: failed after ${seconds} s (${result.error?.message ?? result.signal ?? `exit code ${result.status}`})`,
    );
    process.exit(1);
  }
  if (!options.mayFail) console.log(`${title}: ${options.summary?.(said) ?? 'ok'} (${seconds} s)`);
  return { ...result, said };
}

/** A build of its own, so that the ordinary one stays what it is. */
function build(folder, sanitizer, targets) {
  const options = [
    '-O',
    folder,
    '-G',
    'Unix Makefiles',
    '--CDHINT_CUDA=OFF',
    `--CDHINT_SANITIZE=${sanitizer}`,
  ];
  const tests = targets.some((target) => target.endsWith('tests')) ? 'ON' : 'OFF';
  run(`Configured ${folder}`, 'npx', [
    '--no-install',
    'cmake-js',
    'configure',
    ...options,
    `--CDBUILD_TESTING=${tests}`,
  ]);
  const jobs = String(availableParallelism());
  run(`Built ${targets.join(' and ')}`, 'cmake', [
    '--build',
    folder,
    '--parallel',
    jobs,
    '--target',
    ...targets,
  ]);
}

const lastLine = (said) => said.trim().split('\n').at(-1);

/** For the record that scripts/test-long.mjs keeps. */
function count(name, number) {
  if (process.env.HINT_TEST_COUNTS)
    appendFileSync(process.env.HINT_TEST_COUNTS, `${JSON.stringify({ name, count: Number(number) })}\n`);
}

function nativeTests(title, folder, name, environment) {
  const { said } = run(title, join(folder, 'native', 'tests', name), [], {
    env: environment,
    summary: lastLine,
  });
  count(title, /of (\d+) /.exec(lastLine(said))?.[1] ?? 0);
}
// Node.js holds memory to the end of the process, so leaks are not reported; allocations that are too large must return
// null.
const sanitizers = {
  ASAN_OPTIONS: 'detect_leaks=0:allocator_may_return_null=1:detect_stack_use_after_return=0',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};
// Code that oneDNN generates at run time is not instrumented; its arguments are checked where kernels pass them.
const addon = {
  ...sanitizers,
  HINT_NATIVE: join(root, 'build-asan', 'Release', 'hint.node'),
  LD_PRELOAD: execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim(),
};
const misuse = (title, parameters, options = {}) =>
  run(
    title,
    process.execPath,
    [join('build-asan', 'js', 'test', 'tensor', 'misuse', 'main.js'), ...parameters],
    {
      summary: lastLine,
      ...options,
      env: { ...addon, ...options.env },
    },
  );

const native = values.quick ? [] : ['hint_op_tests', 'hint_runtime_tests'];
build('build-asan', values.quick ? 'address-quick' : 'address', ['hint', ...native]);
run('Compiled the random calls', 'npx', ['--no-install', 'tsc', '-p', 'tsconfig.misuse.json']);
const { said } = misuse('Random calls under ASan and UBSan', ['--seed', values.seed, ...limits]);
count('random calls', /(\d+) calls/.exec(said)?.[1] ?? 0);

if (!values.quick) {
  for (const name of native) nativeTests(`${name} under ASan and UBSan`, 'build-asan', name, sanitizers);
  for (const fault of ['bounds', 'released', 'overflow']) {
    const found = misuse(`The planted fault ${fault}`, ['--seed', values.seed, '--seconds', '120'], {
      mayFail: true,
      env: { HINT_PLANTED_FAULT: fault },
    });
    if (found.status === 0) {
      console.error(`The planted fault ${fault} was not found in ${lastLine(found.said)}`);
      process.exit(1);
    }
    const report = found.said
      .split('\n')
      .find((line) => /ERROR: AddressSanitizer|runtime error|went wrong/.test(line));
    console.log(`The planted fault ${fault} was found: ${report?.slice(0, 160) ?? found.signal}`);
  }
  // TSan does not know how GCC's OpenMP synchronises and would report every barrier, so teams have one thread. The
  // races of interest are between threads of the engine: the one that enqueues, and those of streams.
  build('build-tsan', 'thread', ['hint_runtime_tests']);
  nativeTests('hint_runtime_tests under TSan', 'build-tsan', 'hint_runtime_tests', {
    OMP_NUM_THREADS: '1',
    OMP_THREAD_LIMIT: '1',
    TSAN_OPTIONS: 'halt_on_error=1',
  });
}
