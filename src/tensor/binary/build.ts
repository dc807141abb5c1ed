import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { packageRoot } from '../../util/package-root.js';
import { builtBinary } from './find.js';
import { isClone } from './host.js';

/** What building needs of Debian and Ubuntu, in the words of their package manager. */
const PACKAGES = 'apt-get install cmake g++ make';

/** How the native engine is built. */
export interface BuildOptions {
  /** Stops the compilers too. */
  signal?: AbortSignal;
  /** Compilers at a time; as many as there are cores unless given. */
  jobs?: number;
  /** Before each of the two steps. */
  onStep?: (what: string) => void;
}

/**
 * Builds the native engine of an installed package from the sources in it, with this machine's CMake and compiler; with
 * CUDA where nvcc and a driver are. The result is what {@link findBinary} takes before a package's.
 *
 * @returns path of hint.node
 * @throws HintError NOT_SUPPORTED in a clone, NOT_FOUND when CMake is not installed, IO when the package's folder cannot be written
 *   to, INTERNAL when a step fails, with the file that has its whole output; ABORTED
 */
export async function buildNative({ signal, jobs, onStep }: BuildOptions = {}): Promise<string> {
  const root = packageRoot();
  if (isClone(root))
    throw new HintError('NOT_SUPPORTED', `${root} is a clone of the repository; run "npm run build" there.`);
  const folder = join(root, 'build');
  const log = join(folder, 'build.log');
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(log, '');
  } catch (cause) {
    throw new HintError(
      'IO',
      `${folder} cannot be written to (${(cause as Error).message}); run "hint build" as the user who installed the package.`,
      { cause },
    );
  }
  const settings: Record<string, string> = {
    CMAKE_BUILD_TYPE: 'Release',
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: dirname(builtBinary(root)),
    CMAKE_JS_INC: join(folderOf('node-api-headers', root), 'include'),
    HINT_NODE_ADDON_API: folderOf('node-addon-api', root),
    BUILD_TESTING: 'OFF',
  };
  const defined = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  onStep?.('Looking for the compiler and for libraries');
  await run(['-S', root, '-B', folder, '-G', 'Unix Makefiles', ...defined], log, signal);
  onStep?.('Compiling, which takes minutes');
  await run(['--build', folder, '--parallel', String(jobs ?? availableParallelism())], log, signal);
  return builtBinary(root);
}

function folderOf(name: string, root: string): string {
  try {
    return dirname(createRequire(join(root, 'package.json')).resolve(`${name}/package.json`));
  } catch (cause) {
    throw new HintError('NOT_FOUND', `The package ${name} is not installed; install hint-engine again.`, { cause });
  }
}

async function run(parameters: string[], log: string, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal);
  const said: Buffer[] = [];
  // A group of its own, so that the compilers end with CMake.
  const child = spawn('cmake', parameters, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const stop = (): void => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  };
  signal?.addEventListener('abort', stop, { once: true });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => said.push(piece));
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    throwIfAborted(signal);
    writeFileSync(log, Buffer.concat(said), { flag: 'a' });
    if (status !== 0) throw failure(log);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new HintError('NOT_FOUND', `CMake is not installed; on Debian and Ubuntu run "${PACKAGES}".`, { cause });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** The line that says what is wrong is the first with an error; what follows comes of it. */
function failure(log: string): HintError {
  const lines = readFileSync(log, 'utf8').split('\n');
  const first = lines.findIndex((line) => /\berror\b|not found/i.test(line));
  const what = first < 0 ? 'no error was named' : lines.slice(first, first + 3).join(' ').replace(/\s+/g, ' ').trim();
  return new HintError(
    'INTERNAL',
    `The native engine was not built: ${what} (the whole output is in ${log}). It needs CMake 3.22, make and a C++20 compiler: on ` +
      `Debian and Ubuntu run "${PACKAGES}".`,
  );
}
