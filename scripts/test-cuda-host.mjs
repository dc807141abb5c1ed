// Tests the host side of the CUDA back end in the emulator: builds its library and tests and runs them, then runs hint
// with a driver or device that fails, and as several ranks. Needs CUDA's headers and, for the processes, dist/ and the addon.
//   node scripts/test-cuda-host.mjs [FOLDER]     a folder that CMake has configured; build/ without it
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const build = resolve(root, process.argv[2] ?? 'build');
// The library with access checks is built for the kernels' tests. These tests concern calls and launches, so the checks
// are off.
const environment = {
  HINT_EMULATOR_SHADOW: '0',
  HINT_CUDA_FOLDER: join(build, 'emulated', 'checked'),
  HINT_NCCL: join(build, 'emulated', 'hint_fake_nccl.so'),
};

function run(command, given, more = {}) {
  const { status } = spawnSync(command, given, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...environment, ...more },
  });
  if (status !== 0) process.exit(status ?? 1);
}

run('cmake', ['-S', '.', '-B', build, '-DHINT_EMULATOR=ON']);
run('cmake', ['--build', build, '--target', 'hint_cuda_host_tests', 'hint_fake_nccl', '--parallel']);
run(join(build, 'native/tests/emulator/hint_cuda_host_tests'), []);
const tests = ['lost-device', 'ranks'].map((name) => `test/gpu/${name}.test.ts`);
run('npx', ['--no-install', 'vitest', 'run', ...tests], { HINT_EMULATED: '1' });
