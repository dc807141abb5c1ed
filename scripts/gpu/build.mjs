// Builds the CUDA library alone (build/Release/hint_cuda.so) beside an addon that is there already: for the GPU of this
// machine, a translation unit per core. Needs CMake, nvcc and its C++ compiler; not Node's headers.
//   node scripts/gpu/build.mjs
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { architectures, cublasRoot, nvcc, root } from './machine.mjs';

function run(command, parameters) {
  console.log(`$ ${command} ${parameters.join(' ')}`);
  const { status, error } = spawnSync(command, parameters, { cwd: root, stdio: 'inherit' });
  if (error) fail(`${command} does not start: ${error.message}.`);
  if (status !== 0) fail(`${command} ended with ${status}.`);
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

if (process.env.HINT_CUDA_FOLDER) {
  console.log(`Nothing is built: HINT_CUDA_FOLDER names a library, in ${process.env.HINT_CUDA_FOLDER}.`);
  process.exit(0);
}
const compiler = nvcc();
if (!compiler) fail('There is no nvcc; put it on PATH or set CUDACXX.');
if (!existsSync(join(root, 'build/libhint_native.a')))
  fail('build/libhint_native.a is missing; run "npm run build", or unpack the archive of scripts/pack-gpu.mjs.');
const cores = availableParallelism();
const cublas = cublasRoot();
const architecture = process.env.HINT_CUDA_ARCHITECTURES ?? architectures();
const options = {
  HINT_CUDA: 'ON',
  HINT_PREBUILT: join(root, 'build'),
  CMAKE_CUDA_COMPILER: compiler,
  CMAKE_LIBRARY_OUTPUT_DIRECTORY: join(root, 'build/Release'),
  HINT_CUDA_BATCHES: String(Math.max(6, Math.min(cores, 24))),
  ...(architecture && { HINT_CUDA_ARCHITECTURES: architecture }),
  ...(cublas && { HINT_CUBLAS_ROOT: cublas }),
};
const folder = join(root, 'build/cuda');
run('cmake', ['-S', root, '-B', folder, ...Object.entries(options).map(([name, value]) => `-D${name}=${value}`)]);
const jobs = process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(cores);
run('cmake', ['--build', folder, '--target', 'hint_cuda', '--parallel', jobs]);
