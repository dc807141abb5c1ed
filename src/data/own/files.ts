import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { Notices } from '../../util/notices.js';
import { NOTICED } from '../noticed.js';
import { distinctFiles } from '../distinct-files.js';
import { isOwnFile, OWN_ENDINGS } from '../record-files.js';

/**
 * The files of own data: files, folders (every such file in them, at any depth) and glob patterns, each file once,
 * also where links give it several names.
 *
 * @param notices gathers what else lies in the folders
 * @throws HintError NOT_FOUND for what matches nothing, INVALID_DATA for a file of another kind, ABORTED
 */
export async function findOwnFiles(
  patterns: readonly string[],
  notices?: Notices,
  signal?: AbortSignal,
): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of patterns) {
    throwIfAborted(signal);
    const entry = await stat(pattern).catch(() => undefined);
    const { escapePath, glob, isDynamicPattern } = await import('tinyglobby');
    const options = { absolute: true, onlyFiles: true, expandDirectories: false };
    if (entry?.isDirectory()) {
      const inside = await glob(`${escapePath(pattern.replaceAll('\\', '/'))}/**`, options);
      for (const path of inside.sort())
        if (isOwnFile(path)) found.add(path);
        else notices?.add(NOTICED.otherFiles, basename(path));
      continue;
    }
    const matches = entry ? [pattern] : isDynamicPattern(pattern) ? await glob(pattern, options) : [];
    if (matches.length === 0)
      throw new HintError('NOT_FOUND', `Nothing is at ${pattern}; give files, a folder or a glob pattern.`);
    for (const path of matches.sort()) {
      if (!isOwnFile(path))
        throw new HintError('INVALID_DATA', `${path} is no data file of a known kind; give ${OWN_ENDINGS}.`);
      found.add(path);
    }
  }
  if (found.size > 0) return distinctFiles([...found], signal);
  throw new HintError(
    'NOT_FOUND',
    `${patterns.join(', ')} holds no data file; data files end in ${OWN_ENDINGS}.`,
  );
}
