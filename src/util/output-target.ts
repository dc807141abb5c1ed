import { fstatSync, type Stats } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** The destination of an output path, after all symbolic links. */
export type OutputTarget =
  /** A regular file, or none yet: a new one takes its name when it is whole. */
  | { readonly kind: 'file'; readonly path: string; readonly existing: Stats | undefined }
  /** A folder. */
  | { readonly kind: 'folder'; readonly path: string; readonly existing: Stats }
  /** A device, pipe or the like, which is opened and written to. */
  | { readonly kind: 'stream'; readonly path: string; readonly isPipe: boolean }
  /** An open descriptor of this process that cannot be opened a second time, or would lose its position. */
  | { readonly kind: 'descriptor'; readonly descriptor: number };

const MOST_LINKS = 40;
/** The target of the links /dev/stdout, /dev/fd/N and /proc/self/fd/N. */
const DESCRIPTOR = /^\/proc\/(\d+)(?:\/task\/\d+)?\/fd\/(\d+)$/;

/**
 * Finds the destination of an output path.
 *
 * @throws the system's error: ELOOP, EACCES, ENOTDIR, …
 */
export async function findTarget(path: string): Promise<OutputTarget> {
  if (path === '') throw systemError('ENOENT');
  let at = resolve(path);
  for (let links = 0; links < MOST_LINKS; links++) {
    // Links of the folder are followed first, because a relative link starts where it really lies.
    const folder = await realpath(dirname(at)).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw cause;
    });
    if (folder === undefined) return fileTarget(path, at, undefined);
    at = join(folder, basename(at));
    const [, pid, descriptor] = DESCRIPTOR.exec(at) ?? [];
    if (descriptor !== undefined) return descriptorTarget(at, Number(pid), Number(descriptor));
    const existing = await lstat(at).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw cause;
    });
    if (existing?.isSymbolicLink()) {
      at = resolve(folder, await readlink(at));
      continue;
    }
    if (existing?.isDirectory()) return { kind: 'folder', path: at, existing };
    if (existing && !existing.isFile()) return { kind: 'stream', path: at, isPipe: existing.isFIFO() };
    return fileTarget(path, at, existing);
  }
  throw systemError('ELOOP');
}

function fileTarget(given: string, path: string, existing: Stats | undefined): OutputTarget {
  // A path such as "x/" names a folder.
  if (given.endsWith('/')) throw systemError(existing ? 'ENOTDIR' : 'EISDIR');
  return { kind: 'file', path, existing };
}

/**
 * Pipes and terminals are opened anew, so that waiting for them can be ended; a file keeps the position that it shares
 * with everything else written to the descriptor, and a socket has no name to be opened by.
 */
function descriptorTarget(path: string, pid: number, descriptor: number): OutputTarget {
  if (pid !== process.pid) return { kind: 'stream', path, isPipe: false };
  const opened = fstatSync(descriptor);
  if (opened.isDirectory()) throw systemError('EISDIR');
  return opened.isFile() || opened.isSocket()
    ? { kind: 'descriptor', descriptor }
    : { kind: 'stream', path, isPipe: opened.isFIFO() };
}

/** An error in the form of those that Node.js makes of the system's. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}
