// The host side of the CUDA back end, in the emulator: builds its library and tests, and runs them. Needs CUDA's headers.
//   node scripts/test-cuda-host.mjs [FOLDER]     a folder that CMake has configured; build/ without it
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const build = resolve(root, process.argv[2] ?? 'build');

function run(command, given) {
  const { status } = spawnSync(command, given, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

run('cmake', ['-S', '.', '-B', build, '-DHINT_EMULATOR=ON']);
run('cmake', ['--build', build, '--target', 'hint_cuda_host_tests', '--parallel']);
run(join(build, 'native/tests/emulator/hint_cuda_host_tests'), []);
