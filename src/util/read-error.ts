import { HintError } from './errors.js';

const NEXT_STEP: Readonly<Record<string, string>> = {
  EISDIR: 'it is a folder; name a file',
  EACCES: 'there is no permission; change its permissions',
  EPERM: 'there is no permission; change its permissions',
  ELOOP: 'its symbolic links lead in a circle; name the file itself',
  ENAMETOOLONG: 'its name is longer than the file system takes; check the path',
  ENXIO: 'nothing is behind that device; name a file',
  EIO: 'the device reports an error; check it and try again',
  EMFILE: 'too many files are open; close some or raise the limit ("ulimit -n")',
  ENFILE: 'too many files are open on this machine; close some and try again',
  ERR_INVALID_ARG_VALUE: 'a file cannot have such a name; check the path',
};

/**
 * Makes the error for a failed read of a file.
 *
 * @param what the role of the file, such as `the task file`; absent when the path says it
 * @returns HintError NOT_FOUND or IO; other errors than the system's are returned unchanged
 */
export function readError(path: string, cause: unknown, what?: string): unknown {
  const { code, message } = (cause ?? {}) as NodeJS.ErrnoException;
  if (cause instanceof HintError || code === undefined) return cause;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const sentence =
      what === undefined
        ? `${path} does not exist; check the path.`
        : `No file ${path}; check the path of ${what}.`;
    return new HintError('NOT_FOUND', sentence, { cause });
  }
  const next = NEXT_STEP[code] ?? `the system says ${message}; check the file and the disk`;
  const named = what === undefined ? path : `${what} ${path}`;
  return new HintError('IO', `Could not read ${named}: ${next}.`, { cause });
}
