import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HintError } from '../errors.js';

/** Marks a folder that is being written or deleted: not to be read, and to be cleaned away when nobody works on it. */
const TEMPORARY = /^\..*\.tmp$/;

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
}

/** @throws HintError IO naming the path and the system's reason */
export function ioError(doing: string, path: string, cause: unknown): unknown {
  if (cause instanceof HintError || (cause as NodeJS.ErrnoException).code === undefined) return cause;
  return new HintError(
    'IO',
    `Cannot ${doing} ${path} (${(cause as Error).message}); check that it is writable and the disk has room.`,
    { cause },
  );
}

/**
 * Makes a folder all or nothing: `write` fills a temporary folder beside `path`, which then takes its name. Whatever
 * fails, `path` does not exist half, and the temporary folder is removed.
 *
 * @throws HintError IO; what `write` throws is passed on
 */
export async function writeDirectoryAtomically(
  path: string,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await mkdir(temporary, { recursive: true });
    await write(temporary);
    await syncDirectory(temporary);
    await removeDirectory(path);
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw ioError('write', path, cause);
  }
}

/** Deletes a folder; it is gone under its name before the first of its files is. */
export async function removeDirectory(path: string): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await rename(path, temporary);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw ioError('delete', path, cause);
  }
  await rm(temporary, { recursive: true, force: true });
}

/** Deletes what a killed process left behind in `parent`. */
export async function removeTemporaries(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => [] as string[]);
  for (const name of names.filter((entry) => TEMPORARY.test(entry))) {
    await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Makes the names in a folder survive a power cut, where the system can. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}
