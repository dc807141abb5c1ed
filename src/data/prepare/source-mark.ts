import { stat } from 'node:fs/promises';
import { readError } from '../../util/read-error.js';

/**
 * Name, size and time of a source file, by which another one of the same name is told from it.
 *
 * @throws HintError NOT_FOUND, IO
 */
export async function sourceMark(name: string, file: string): Promise<string> {
  const { size, mtimeMs } = await stat(file).catch((cause: unknown) => {
    throw readError(file, cause);
  });
  return `${name} ${size} ${Math.floor(mtimeMs / 1000)}`;
}
