import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..', '..');

// The declarations of ops refer to kernels, which are never called and not linked; all other symbols must be defined.
const WITHOUT_KERNELS = ['-no-pie', '-Wl,--warn-unresolved-symbols'];
const KERNEL = /forwardERNS_4CallE|backwardERNS_4CallE|::(forward|backward)\(hint::Call&\)/;

/** libFuzzer targets of native functions that take input from callers and files. */
const TARGETS = {
  'native-bind': {
    source: 'native/tests/fuzz/bind_fuzz.cc',
    others: () => [
      ...declarations(),
      ...['call', 'dtype', 'op_spec', 'table', 'tensor'].map((name) => `native/core/${name}.cc`),
      ...['activation', 'dropout_mask', 'logits_row', 'relative_bucket', 'rounding', 'row_groups'].map((name) => `native/ops/common/${name}.cc`),
      'native/ops/attention/geometry.cc',
      'native/runtime/allocator.cc',
    ],
    link: WITHOUT_KERNELS,
  },
  'native-tensor': {
    source: 'native/tests/fuzz/tensor_fuzz.cc',
    others: () => ['core/dtype', 'core/tensor', 'runtime/allocator', 'runtime/mapped_file'].map((name) => `native/${name}.cc`),
    link: [],
  },
}; // prettier-ignore

export const NATIVE_TARGETS = Object.keys(TARGETS);

const COMPILERS = [
  'clang++',
  'clang++-19',
  'clang++-18',
  'clang++-17',
  'clang++-16',
  'clang++-15',
  'clang++-14',
];
const FLAGS = ['-std=c++20', '-O1', '-g1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined', '-I.']; // prettier-ignore

function declarations() {
  const folders = readdirSync(join(root, 'native', 'ops'), { withFileTypes: true });
  return folders
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `native/ops/${name}/${name}.cc`)
    .filter((file) => existsSync(join(root, file)));
}

function findCompiler() {
  return COMPILERS.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Compiles a target into build/fuzz, unless what is there is newer than every source. */
function compile(name, compiler) {
  const { source, others, link } = TARGETS[name];
  const files = [source, ...others()];
  const program = join(root, 'build', 'fuzz', name);
  const headers = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(h|def)$/.test(file))
    .map((file) => join('native', file));
  const newest = Math.max(...[...files, ...headers].map((file) => statSync(join(root, file)).mtimeMs));
  if (existsSync(program) && statSync(program).mtimeMs > newest) return program;
  mkdirSync(join(root, 'build', 'fuzz'), { recursive: true });
  const { status, stderr } = spawnSync(compiler, [...FLAGS, ...files, ...link, '-o', program], {
    cwd: root,
    encoding: 'utf8',
  });
  const missing = stderr
    .split('\n')
    .filter((line) => line.includes('undefined reference') && !KERNEL.test(line));
  if (status === 0 && missing.length === 0) return program;
  rmSync(program, { force: true });
  throw new Error(`The fuzzing target ${name} cannot be compiled:\n${missing.join('\n') || stderr}`);
}

/**
 * Runs a libFuzzer target.
 *
 * @returns counts and findings as `fuzzParser` does, or why it was left out
 */
export function fuzzNative(name, { seed, milliseconds, keep }) {
  const compiler = findCompiler();
  if (!compiler) return { leftOut: 'it needs clang with libFuzzer (apt-get install clang)' };
  const program = compile(name, compiler);
  const folder = mkdtempSync(join(tmpdir(), 'hint-fuzz-native-'));
  const kept = join(import.meta.dirname, 'corpus', name);
  mkdirSync(join(folder, 'found'));
  try {
    const seconds = Math.max(1, Math.round(milliseconds / 1000));
    const options = [`-max_total_time=${seconds}`, `-seed=${1 + (seed % 2 ** 31)}`, '-max_len=512', '-rss_limit_mb=900', '-malloc_limit_mb=256', '-timeout=10', '-print_final_stats=1', `-artifact_prefix=${folder}/`, join(folder, 'found'), ...(existsSync(kept) ? [kept] : [])]; // prettier-ignore
    const { status, stderr } = spawnSync(program, options, { encoding: 'utf8', maxBuffer: 2 ** 28 });
    const inputs = Number(/stat::number_of_executed_units:\s*(\d+)/.exec(stderr)?.[1] ?? 0);
    if (status === 0) return { inputs, findings: [] };
    const artifact = readdirSync(folder).find((file) => /^(crash|oom|timeout|leak)-/.test(file));
    const bytes = artifact ? readFileSync(join(folder, artifact)) : Buffer.alloc(0);
    if (keep && artifact) {
      mkdirSync(kept, { recursive: true });
      writeFileSync(join(kept, `finding-${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`), bytes); // prettier-ignore
    }
    const fault =
      stderr.split('\n').find((line) => /ERROR|runtime error|SUMMARY/.test(line)) ?? stderr.slice(-500);
    return { inputs, findings: [{ parser: name, fault, bytes }] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
