// Sizes of what is copied to a GPU machine: the tracked files, and the archive of scripts/pack-gpu.mjs.
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './machine.mjs';

/** Bytes of both together stay below 64 MiB. */
export const TREE_MOST = 36.4 * 2 ** 20;
export const ARCHIVE_MOST = 27.5 * 2 ** 20;

/** Bytes of the tracked files that are there. */
export function trackedBytes() {
  const listed = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (listed.status !== 0) throw new Error(`git ls-files: ${listed.error?.message ?? listed.stderr}`);
  return listed.stdout
    .split('\0')
    .filter((path) => path !== '')
    .map((path) => statSync(join(root, path), { throwIfNoEntry: false }))
    .reduce((sum, file) => sum + (file?.isFile() ? file.size : 0), 0);
}
