import { realpath, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { throwIfAborted } from '../util/errors.js';
import { readError } from '../util/read-error.js';

/**
 * Each file once, also where links give it several names: linked folders, a folder that links to one around it, hard links.
 * Of several names, one that leads through no link comes first, then one in fewer folders, then the first that is given.
 *
 * @returns in the order of `paths`
 * @throws HintError NOT_FOUND, IO, ABORTED
 */
export async function distinctFiles(paths: readonly string[], signal?: AbortSignal): Promise<string[]> {
  const best = new Map<string, { path: string; rank: readonly [number, number] }>();
  for (const path of new Set(paths)) {
    throwIfAborted(signal);
    const [{ dev, ino }, real] = await Promise.all([stat(path, { bigint: true }), realpath(path)]).catch(
      (cause: unknown) => {
        throw readError(path, cause);
      },
    );
    const rank = [linkRank(path, real), path.split('/').length] as const;
    const key = `${dev}:${ino}`;
    const other = best.get(key);
    if (!other || isBefore(rank, other.rank)) best.set(key, { path, rank });
  }
  const kept = new Set([...best.values()].map(({ path }) => path));
  return [...new Set(paths)].filter((path) => kept.has(path));
}

/** 0: the path leads through no link; 1: through linked folders; 2: it is a link itself, of another name. */
function linkRank(path: string, real: string): number {
  if (resolve(path) === real) return 0;
  return basename(real) === basename(path) ? 1 : 2;
}

function isBefore([a, b]: readonly [number, number], [c, d]: readonly [number, number]): boolean {
  return a < c || (a === c && b < d);
}
