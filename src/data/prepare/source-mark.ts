import { stat } from 'node:fs/promises';
import { HintError } from '../../util/errors.js';
import { readError } from '../../util/read-error.js';

/**
 * Name, size and time of a source file, by which another one of the same name is told from it.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_FILE for a named pipe, a device or a folder: opening a pipe that nobody writes to
 *   waits for ever, and cannot be interrupted
 */
export async function sourceMark(name: string, file: string): Promise<string> {
  const status = await stat(file).catch((cause: unknown) => {
    throw readError(file, cause);
  });
  if (!status.isFile())
    throw new HintError(
      'INVALID_FILE',
      `${file} is no regular file but a pipe, a device or a folder; put the published file there.`,
    );
  const { size, mtimeMs } = status;
  return `${name} ${size} ${Math.floor(mtimeMs / 1000)}`;
}
