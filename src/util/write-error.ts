import { mkdir } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { HintError } from './errors.js';

const NEXT_STEP: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space and try again',
  EDQUOT: 'the disk quota is used up; free some space and try again',
  EFBIG: 'the file is larger than this file system or process may write; raise the limit',
  EACCES: 'there is no permission; choose another place or change its permissions',
  EPERM: 'there is no permission; choose another place or change its permissions',
  EROFS: 'the file system is read-only; choose another place',
  ENOENT: 'its directory does not exist and cannot be made there; choose another place',
  ENOTDIR: 'a part of its path is not a directory; choose another path',
  EISDIR: 'it is a directory; choose another path',
  EEXIST: 'there is something of that name already; choose another path',
  ENOTEMPTY: 'there is something of that name already; choose another path',
  ENAMETOOLONG: 'its name is longer than the file system takes; choose a shorter one',
  ELOOP: 'its symbolic links lead in a circle; choose another path',
  ENXIO: 'nothing reads what is written there; start its reader first',
  EPIPE: 'its reader has ended before all was written; start both again',
  EBADF: 'that descriptor is not open for writing; open it or choose another path',
  EBUSY: 'it is in use by the system, as what is mounted is; choose another path',
  EINVAL: 'it takes no data of this kind; choose another path',
  EIO: 'the device reports an error; check it and try again',
  EMFILE: 'too many files are open; close some or raise the limit ("ulimit -n")',
  ENFILE: 'too many files are open on this machine; close some and try again',
  ERR_INVALID_ARG_VALUE: 'a file cannot have such a name; choose another path',
};

/**
 * Makes the error for a failed operation on a path.
 *
 * @param doing the verb: "write", "delete", …
 * @returns HintError IO; other errors than the system's are returned unchanged
 */
export function ioError(doing: string, path: string, cause: unknown): unknown {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (cause instanceof HintError || code === undefined) return cause;
  const next = NEXT_STEP[code] ?? `the system says ${message}; check the path and the disk`;
  return new HintError('IO', `Could not ${doing} ${path === '' ? 'a file without a name' : path}: ${next}.`, {
    cause,
  });
}

/** Creates a folder and its parents. @throws HintError IO */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeMissingFolders(path);
  } catch (cause) {
    throw ioError('make the folder', path, cause);
  }
}

/**
 * {@link makeFolder} for an output's folder: it throws the system's error, so that the caller's sentence can name the
 * output. Node's own recursive `mkdir` never returns on file systems that refuse new entries with "no such file", as
 * /proc does.
 */
export async function makeMissingFolders(path: string): Promise<void> {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeMissingFolders(parent);
  await mkdir(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
  });
}
