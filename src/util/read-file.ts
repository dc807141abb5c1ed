import { readFile } from 'node:fs/promises';
import { HintError, throwIfAborted } from '../errors.js';

/**
 * Reads a whole file.
 *
 * @param what what the file is, for the error message, e.g. `the task file`
 * @throws HintError `NOT_FOUND` when it does not exist, `IO` when it cannot be read, `ABORTED`
 */
export async function readBytes(file: string, what: string, signal?: AbortSignal): Promise<Buffer> {
  throwIfAborted(signal);
  try {
    return await readFile(file, signal ? { signal } : {});
  } catch (cause) {
    throwIfAborted(signal);
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new HintError('NOT_FOUND', `No file ${file}; check the path of ${what}.`, { cause });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HintError('IO', `Could not read ${what} ${file}: ${reason}.`, { cause });
  }
}

/**
 * Parses the text of a JSON file, with or without a byte order mark.
 *
 * @throws HintError `INVALID_JSON` naming the file and the parser's reason
 */
export function parseJson(text: string, file: string, what: string): unknown {
  try {
    return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HintError(
      'INVALID_JSON',
      `${file} is not valid JSON (${reason}); ${what} may be cut off: fetch or write it again.`,
      { cause },
    );
  }
}
