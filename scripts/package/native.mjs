// hint.node as it is published: with the C++ library in it and OpenMP's library beside it.
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fail, run } from './run.mjs';

/** The newest glibc whose functions may be called, as src/tensor/binary/host.ts tells users. */
export const NEWEST_GLIBC = [2, 34];

/** Platforms with a package, by its name. Those of another processor are compiled with Debian's cross compiler. */
export const TARGETS = {
  'linux-x64': { name: 'linux-x64', arch: 'x64', prefix: 'x86_64-linux-gnu' },
  'linux-arm64': { name: 'linux-arm64', arch: 'arm64', prefix: 'aarch64-linux-gnu' },
};

/** CMake's options for a target that is not the machine itself. */
function crossOptions({ arch, prefix }) {
  if (arch === process.arch) return {};
  const processor = prefix.split('-')[0];
  return {
    CMAKE_SYSTEM_NAME: 'Linux',
    CMAKE_SYSTEM_PROCESSOR: processor,
    CMAKE_C_COMPILER: `${prefix}-gcc`,
    CMAKE_CXX_COMPILER: `${prefix}-g++`,
    CMAKE_FIND_ROOT_PATH: `/usr/${prefix}`,
    CMAKE_FIND_ROOT_PATH_MODE_PROGRAM: 'NEVER',
    // Node's headers lie in a folder of the project.
    CMAKE_FIND_ROOT_PATH_MODE_INCLUDE: 'BOTH',
  };
}

/**
 * Builds what a platform's package holds.
 *
 * @param folder where builds are kept between calls
 * @param cuda also hint_cuda.so
 * @returns the built files and the newest glibc that a file calls
 */
export function buildNative(root, folder, target, { jobs, cuda }) {
  const cmake = crossOptions(target);
  const build = join(folder, `native-${target.name}`);
  const output = join(build, 'Release');
  const folderOf = (name) =>
    dirname(createRequire(join(root, 'package.json')).resolve(`${name}/package.json`));
  const options = {
    CMAKE_BUILD_TYPE: 'Release',
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: output,
    CMAKE_JS_INC: join(folderOf('node-api-headers'), 'include'),
    HINT_NODE_ADDON_API: folderOf('node-addon-api'),
    HINT_PORTABLE: 'ON',
    HINT_CUDA: cuda ? 'ON' : 'OFF',
    HINT_MPI: 'OFF',
    BUILD_TESTING: 'OFF',
    ...cmake,
  };
  const defined = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
  run('cmake', ['-S', root, '-B', build, '-G', 'Unix Makefiles', ...defined]);
  run('cmake', ['--build', build, '--parallel', String(jobs)]);
  const files = [join(output, 'hint.node'), join(output, 'libgomp.so.1')];
  const cudaFile = join(output, 'hint_cuda.so');
  if (cuda && !existsSync(cudaFile)) fail(`${cudaFile} was not built; is nvcc on PATH?`);
  const glibc = [...files, ...(cuda ? [cudaFile] : [])].map((file) => {
    const symbols = run(`${target.prefix}-objdump`, ['-T', file]);
    const lacking = undefinedSymbols(symbols);
    if (lacking.length > 0)
      fail(`${basename(file)} needs ${lacking.slice(0, 5).join(', ')}, which no library has.`);
    const newest = newestGlibc(symbols);
    if (isNewer(newest, NEWEST_GLIBC))
      fail(
        `${basename(file)} calls glibc ${newest.join('.')}; ${NEWEST_GLIBC.join('.')} is the newest that may be.`,
      );
    return newest;
  });
  return { files, cudaFile, glibc: glibc.reduce((a, b) => (isNewer(a, b) ? a : b)) };
}

/** The newest version of glibc among the symbols of `objdump -T`, as [major, minor]. */
export function newestGlibc(symbols) {
  return [...symbols.matchAll(/GLIBC_(\d+)\.(\d+)/g)]
    .map(([, major, minor]) => [Number(major), Number(minor)])
    .reduce((a, b) => (isNewer(b, a) ? b : a), [0, 0]);
}

/** Names that `objdump -T` lists as undefined and without a version, which those of the system's libraries have; Node.js has its own. */
export function undefinedSymbols(symbols) {
  return [...symbols.matchAll(/^\S+ (.{7}) \*UND\*\t\S+ +(?:Base +)?([^\s(]\S*)$/gm)]
    .filter(([, flags, name]) => !flags.includes('w') && !name.startsWith('napi_'))
    .map(([, , name]) => name);
}

export function isNewer(a, b) {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
}

/** Copies files into a folder that is new. */
export function putAll(files, folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const file of files) copyFileSync(file, join(folder, basename(file)));
}
