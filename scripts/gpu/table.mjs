// The steps that run on a GPU, the most important first.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ask, python, root } from './machine.mjs';

const node = process.execPath;
const script = (name) => join('scripts/gpu', name);

/**
 * Sizes by HINT_GPU_SCALE: `full`, or `rehearsal` for the emulated library on a CPU. `patience`: times the minutes of a
 * step; `peerDevice`: where PyTorch computes.
 */
const SCALES = {
  full: {
    large: 'xl',
    largest: 'xxl',
    batch: 64,
    batches: '64,32,16,8',
    examples: 100,
    rounds: 3,
    benchOps: undefined,
    ops: undefined,
    fixtures: 'test/fixtures/original',
    patience: 1,
    peerDevice: 'cuda',
  },
  rehearsal: {
    large: 'tiny',
    largest: 'tiny',
    batch: 2,
    batches: '2,1',
    examples: 1,
    rounds: 1,
    benchOps: ['add'],
    ops: ['add', 'copy', 'linear'],
    fixtures: 'test/fixtures/original/hint',
    patience: 30,
    peerDevice: 'cpu',
  },
};

// Importing them would take seconds.
const FIND_TORCH = `
import importlib.util, sys
sys.exit(not all(importlib.util.find_spec(name) for name in ("torch", "transformers")))`;

/** @throws Error for a scale that is not known */
export function scaleOf(name = 'full') {
  const scale = SCALES[name];
  if (!scale) throw new Error(`HINT_GPU_SCALE is "${name}"; give full or rehearsal.`);
  return scale;
}

/**
 * @param {{ scale: ReturnType<typeof scaleOf>, build: boolean, results: string }} options `build`: addon and TypeScript too
 * @returns {(import('./steps.mjs').Step & { part: 'build' | 'test' | 'bench' })[]} the most telling first; without `build`
 *   they take at most 13.5 minutes in all
 */
export function gpuSteps({ scale, build, results }) {
  const hint = (...parameters) => [node, 'dist/cli/main.js', ...parameters];
  const built = (path) =>
    ['build', 'build-emulator']
      .map((folder) => join(folder, path))
      .find((file) => existsSync(join(root, file))) ?? join('build', path);
  const tests = built('native/tests/hint_op_tests');
  const bench = built('native/bench/hint_op_bench');
  const cases = (ops, ...more) =>
    ops
      ? ops.map((op) => [tests, '--device', 'cuda', '--op', op, ...more])
      : [[tests, '--device', 'cuda', ...more]];
  const benches = (dtype) =>
    scale.benchOps
      ? scale.benchOps.map((op) => [
          bench,
          '--device',
          'cuda',
          '--dtype',
          dtype,
          '--samples',
          '0',
          '--op',
          op,
        ])
      : [[bench, '--device', 'cuda', '--dtype', dtype]];
  const measure = (...parameters) => [[node, script('measure.mjs'), ...parameters.map(String)]];
  const { large, largest, batch, batches, examples, rounds, patience, peerDevice } = scale;
  const noTorch =
    ask(python(), ['-c', FIND_TORCH]) === undefined ? `${python()} has no torch and transformers` : undefined;
  const noSanitizer =
    ask('sh', ['-c', 'command -v compute-sanitizer']) === undefined
      ? 'compute-sanitizer is not on PATH'
      : undefined;
  const noVitest = existsSync(join(root, 'node_modules/vitest')) ? undefined : 'vitest is not installed';
  const sanitizer = (tool, ops) =>
    ops.map((op) => [
      'compute-sanitizer',
      '--tool',
      tool,
      '--error-exitcode',
      '1',
      tests,
      '--device',
      'cuda',
      '--op',
      op,
    ]);
  const library = build ? [[node, 'scripts/build.mjs', '--tests', '--cuda']] : [[node, script('build.mjs')]];
  const steps = [
    {
      part: 'build',
      name: build ? 'build everything' : 'build the CUDA library',
      minutes: build ? 20 : 2.5,
      commands: library,
    },
    {
      part: 'test',
      name: 'doctor, copy and linear',
      minutes: 0.5,
      commands: [hint('doctor'), ...cases(['copy', 'linear'])],
    },
    { part: 'test', name: 'all op cases', minutes: 1.25, commands: cases(scale.ops) },
    { part: 'test', name: 'decoding with graphs', minutes: 0.4, commands: [[node, script('decode.mjs')]] },
    {
      part: 'test',
      name: 'decoding without graphs',
      minutes: 0.4,
      commands: [[node, script('decode.mjs')]],
      env: { HINT_CUDA_GRAPHS: '0' },
    },
    { part: 'bench', name: 'op bench in bf16', minutes: 1, commands: benches('bf16') },
    {
      part: 'bench',
      name: `a HINT step, ${large}`,
      minutes: 1.25,
      commands: measure('hint', large, batch, rounds, join(results, `hint-${large}.json`)),
    },
    {
      part: 'bench',
      name: `PyTorch's step, ${large}`,
      minutes: 1,
      commands: measure('torch', large, batches, rounds, join(results, `torch-${large}.json`)),
      skip: noTorch,
    },
    {
      part: 'bench',
      name: `PyTorch's step, compiled, ${large}`,
      minutes: 1.25,
      commands: measure(
        'torch',
        large,
        batches,
        rounds,
        join(results, `torch-compiled-${large}.json`),
        'compile',
      ),
      skip: noTorch,
    },
    {
      part: 'bench',
      name: `latency by shots, ${large}`,
      minutes: 1.75,
      commands: measure('latency', large, examples, rounds, join(results, 'latency')),
    },
    {
      part: 'test',
      name: 'memcheck on four ops',
      minutes: 0.6,
      commands: sanitizer('memcheck', ['linear', 'attention', 'grouped_linear', 'cross_entropy']),
      skip: noSanitizer,
    },
    {
      part: 'test',
      name: 'racecheck',
      minutes: 0.4,
      commands: sanitizer('racecheck', ['attention', 'grouped_linear']),
      skip: noSanitizer,
    },
    {
      part: 'test',
      name: 'fixtures of the original code',
      minutes: 0.4,
      commands: [hint('verify', scale.fixtures, '--device', 'cuda')],
    },
    {
      part: 'bench',
      name: `a HINT step, ${largest}`,
      minutes: 0.6,
      commands: measure(
        'hint',
        largest,
        batch,
        rounds,
        join(results, `hint-largest-${largest}.json`),
        'bf16',
        'both',
      ),
    },
    {
      part: 'test',
      name: 'tests of test/gpu',
      minutes: 0.2,
      commands: [[node, 'node_modules/vitest/vitest.mjs', 'run', 'test/gpu']],
      skip: noVitest,
    },
  ];
  // On another machine than that of the build, the native tests and the bench need the folder of the library.
  const env = {
    HINT_CUDA_FOLDER: process.env.HINT_CUDA_FOLDER || join(root, 'build/Release'),
    HINT_PEER_DEVICE: peerDevice,
  };
  // The limits suit a machine that is available for a quarter of an hour. One that builds everything gets more time.
  const times = build ? 5 : 1;
  return steps.map((step, index) => ({
    ...step,
    number: index + 1,
    minutes: step.minutes * patience * (step.part === 'build' ? 1 : times),
    env: step.part === 'build' ? {} : { ...env, ...step.env },
  }));
}
