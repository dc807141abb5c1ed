// Builds the native engine (build/Release/hint.node) and the TypeScript (dist/, and dist/bundle/ of it and of
// page/).
//   node scripts/build.mjs [--native | --ts] [--tests] [--cuda]
//     --tests: also the native tests and bench binaries
//     --cuda: the CUDA back end too, where there is no NVIDIA driver; it is built unasked where there is one
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const flags = new Set(process.argv.slice(2));

function run(command, parameters) {
  const result = spawnSync(command, parameters, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, CMAKE_BUILD_PARALLEL_LEVEL: String(availableParallelism()) },
  });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  const why = result.error ? result.error.message : `exit code ${result.status}`;
  console.error(`The command "${command} ${parameters.join(' ')}" failed (${why}). If something is missing, run scripts/setup.sh.`);
  process.exit(1);
}

/** Removes outputs whose source was moved or deleted: they could still be imported by their old name. */
function removeWithoutSource() {
  for (const name of readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
    if (name.startsWith('bundle')) continue;
    const source = name.replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts');
    if (source !== name && !existsSync(join(root, 'src', source))) rmSync(join(root, 'dist', name));
  }
}

if (!flags.has('--ts')) {
  const tests = flags.has('--tests') ? 'ON' : 'OFF';
  const started = Date.now();
  // Configured each time, because cmake-js keeps the configuration of an earlier build.
  const cuda = flags.has('--cuda') ? 'ON' : 'AUTO';
  const options = ['-O', 'build', '-G', 'Unix Makefiles', `--CDBUILD_TESTING=${tests}`, `--CDHINT_CUDA=${cuda}`];
  for (const name of ['HINT_CUBLAS_ROOT', 'HINT_CUDA_ARCHITECTURES'])
    if (process.env[name]) options.push(`--CD${name}=${process.env[name]}`);
  run('npx', ['--no-install', 'cmake-js', 'configure', ...options]);
  run('npx', ['--no-install', 'cmake-js', 'compile', ...options]);
  console.log(`Built the native engine in ${Math.round((Date.now() - started) / 1000)} s`);
}
if (!flags.has('--native')) {
  run('npx', ['--no-install', 'tsc', '-p', 'tsconfig.build.json']);
  removeWithoutSource();
  run('npx', ['--no-install', 'tsc', '-p', 'page']);
  // Not imported above: where only native code is built, development's packages may be absent.
  const { bundle } = await import('./bundle.mjs');
  const { buildPage } = await import('./page.mjs');
  await bundle(root, { others: await buildPage(root) });
  console.log('Built the TypeScript');
}
