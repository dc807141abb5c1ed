// Finds what a GPU machine has: the Python wheels' folders, compiler, architecture, and unpacked libraries.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The folder of the unpacked archive, which has what a bare machine lacks. */
export const KIT = join(root, '.gpu');

/** Whether the archive is unpacked here. Such a machine can build nothing but the CUDA library. */
export const unpacked = () => existsSync(join(KIT, 'node/bin/node'));

/** The trimmed output of a program; undefined when it is missing or fails. */
export function ask(command, parameters) {
  const { status, stdout } = spawnSync(command, parameters, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

export const python = () => process.env.HINT_PEER_PYTHON ?? 'python3';

const FIND_WHEELS = `
import glob, site, sys
paths = set(site.getsitepackages() + [p for p in sys.path if p.endswith("-packages")])
print("\\n".join(sorted(d for p in paths for d in glob.glob(p + "/nvidia/*"))))`;

/** Folder with lib/libcublasLt.so.*, of HINT_CUBLAS_ROOT or of Python's wheels; undefined: none there. */
export function cublasRoot() {
  if (process.env.HINT_CUBLAS_ROOT) return process.env.HINT_CUBLAS_ROOT;
  const folders = ask(python(), ['-c', FIND_WHEELS])?.split('\n') ?? [];
  return folders.find((folder) => cublasLibrary(folder));
}

/** The cuBLASLt of a folder. */
export function cublasLibrary(folder) {
  const lib = join(folder, 'lib');
  if (!existsSync(lib)) return undefined;
  const name = readdirSync(lib).find((file) => file.startsWith('libcublasLt.so'));
  return name && join(lib, name);
}

/** nvcc, by CUDACXX, PATH or the usual place. */
export function nvcc() {
  const { CUDACXX } = process.env;
  if (CUDACXX) return CUDACXX;
  return (
    ask('sh', ['-c', 'command -v nvcc']) ?? ['/usr/local/cuda/bin/nvcc'].find((path) => existsSync(path))
  );
}

/** CMake's names of the architectures of the GPUs here; undefined where none is found. */
export function architectures() {
  const found = ask('nvidia-smi', ['--query-gpu=compute_cap', '--format=csv,noheader']);
  return found === undefined ? undefined : architectureNames(found);
}

/** @param {string} capabilities one like 9.0 a line */
export function architectureNames(capabilities) {
  const numbers = [...new Set(capabilities.split('\n').map((line) => line.trim().replace('.', '')))];
  const known = numbers.filter((number) => /^\d+$/.test(number));
  // Hopper's own instructions need the name with an a.
  return known.length > 0
    ? known.map((number) => `${number === '90' ? '90a' : number}-real`).join(';')
    : undefined;
}

/** Environment in which packed libraries, the wheels' cuBLASLt and CUDA's tools are found. */
export function environment() {
  const folder = cublasRoot();
  const library = process.env.HINT_CUBLASLT ?? (folder && cublasLibrary(folder));
  const packed = join(KIT, 'lib');
  const paths = [process.env.LD_LIBRARY_PATH, existsSync(packed) && packed].filter(Boolean);
  const compiler = nvcc();
  // compute-sanitizer is beside nvcc, whose folder may not be in PATH.
  const tools = compiler && existsSync(compiler) ? [dirname(realpathSync(compiler))] : [];
  return {
    PATH: [process.env.PATH, dirname(process.execPath), ...tools].join(delimiter),
    ...(paths.length > 0 && { LD_LIBRARY_PATH: paths.join(delimiter) }),
    ...(library && { HINT_CUBLASLT: library }),
    PYTHONUNBUFFERED: '1',
  };
}
