import { readdir, realpath, stat } from 'node:fs/promises';
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
    const names = await namesBelow(path);
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

/**
 * Names of all that is below a folder, at any depth, folders included. Links to folders are followed, but for one to a folder around it:
 * reading on there would never end.
 */
async function namesBelow(folder: string): Promise<string[]> {
  const names: string[] = [];
  const read = async (below: string, around: ReadonlySet<string>): Promise<void> => {
    const path = join(folder, below);
    const real = await realpath(path);
    if (around.has(real)) return;
    const inside = new Set(around).add(real);
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const name = join(below, entry.name);
      names.push(name);
      const isLink = entry.isSymbolicLink();
      if (entry.isDirectory() || (isLink && (await stat(join(folder, name))).isDirectory()))
        await read(name, inside);
    }
  };
  await read('', new Set());
  return names;
}
