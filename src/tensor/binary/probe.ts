import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { sha256Hex } from '../../util/hash.js';
import { isClone, thisHost, whyUnsupported } from './host.js';

const PROGRAM = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); m.exports.platform();';

/** Longer than any machine takes that works. */
const LONGEST_MS = 60_000;

/**
 * Loads a binary that was built elsewhere in a child process first: an instruction that this processor lacks ends a process, which
 * nobody can catch. What passed is remembered under {@link probeMark}, as a child takes longer than all else that opening needs.
 *
 * @throws HintError NATIVE_MISSING with what the child died of, or its message
 */
export function probeBinary(path: string, mark = probeMark(path)): void {
  if (existsSync(mark)) return;
  const environment: NodeJS.ProcessEnv = { ...process.env, ELECTRON_RUN_AS_NODE: '1' };
  delete environment['NODE_OPTIONS'];
  const { status, signal, stderr, error } = spawnSync(process.execPath, ['-e', PROGRAM, path], {
    encoding: 'utf8',
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: LONGEST_MS,
  });
  // Where no process may be started, loading tells as well whether the binary is whole.
  if (error && status === null && signal === null) return;
  if (status !== 0) throw new HintError('NATIVE_MISSING', sentence(path, signal ?? messageIn(stderr)));
  try {
    mkdirSync(dirname(mark), { recursive: true });
    writeFileSync(mark, '');
  } catch {
    // A home that cannot be written to costs the next process the same child again.
  }
}

/**
 * A file that is there when a binary has passed on this machine: under $XDG_CACHE_HOME or ~/.cache, by what could change the
 * outcome, which are the file, Node.js and the processor.
 */
export function probeMark(path: string): string {
  const { size, mtimeMs } = statSync(path);
  const identity = [
    path,
    String(size),
    String(mtimeMs),
    process.version,
    process.arch,
    cpus()[0]?.model ?? '',
  ];
  const home = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(home, 'hint-engine', 'probed', sha256Hex(...identity));
}

/** What a process that Node.js ended says: the line of the error among those of the stack. */
function messageIn(stderr: string): string {
  return /^(?:\w*Error): (.*)$/m.exec(stderr)?.[1] ?? stderr.trim().split('\n').at(-1) ?? 'no message';
}

function sentence(path: string, cause: string): string {
  const died = /^SIG[A-Z]+$/.test(cause);
  const what = died ? `a process that loads it dies of ${cause}` : cause;
  const why =
    whyUnsupported(thisHost()) ?? `Build it here with "${isClone() ? 'npm run build' : 'npx hint build'}".`;
  return `The native engine ${path} does not work on this machine (${what}). ${why}`;
}
