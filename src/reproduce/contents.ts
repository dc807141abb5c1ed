import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../util/errors.js';
import { sha256Hex } from '../util/hash.js';

/**
 * A hash of the names and sizes of the files in a folder, at any depth, or of one file: another where data were
 * exchanged, without reading gigabytes.
 *
 * @param what names the folder in errors, such as "the data"
 * @throws HintError NOT_FOUND
 */
export async function contentsOf(path: string, what: string): Promise<string> {
  try {
    if (!(await stat(path)).isDirectory()) return sha256Hex(String((await stat(path)).size));
    const names = await readdir(path, { recursive: true });
    const entries = await Promise.all(
      names.toSorted().map(async (name) => {
        const entry = await stat(join(path, name));
        return entry.isDirectory() ? '' : `${name} ${entry.size}`;
      }),
    );
    return sha256Hex(...entries);
  } catch (cause) {
    throw new HintError(
      'NOT_FOUND',
      `Cannot read ${what}, ${path} (${(cause as Error).message}); check the path.`,
      { cause },
    );
  }
}
