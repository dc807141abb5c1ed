import { mkdirSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder, takeOver } from './atomic-file.js';
import { findTarget, systemError } from './output-target.js';
import { dropTemporary, forgetTemporary, removeAbandoned, temporaryPath } from './temporary.js';
import { ioError, makeMissingFolders } from './write-error.js';

/**
 * Makes a folder all or nothing: `write` fills a temporary folder beside `path`, which is then renamed to `path`. When
 * a folder of that name exists, it is replaced, and the new one gets its mode and owner. Symbolic links are followed.
 * When anything fails, `path` is unchanged and the temporary folder is removed.
 *
 * @throws HintError IO; what `write` throws
 */
export async function writeDirectoryAtomically(
  path: string,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  try {
    const target = await findTarget(path.replace(/(?<=.)\/+$/, ''));
    if (target.kind === 'descriptor' || target.kind === 'stream') throw systemError('ENOTDIR');
    if (target.kind === 'file' && target.existing) throw systemError('EEXIST');
    await makeMissingFolders(dirname(target.path));
    await removeAbandoned(dirname(target.path));
    const temporary = temporaryPath(target.path);
    try {
      mkdirSync(temporary);
      await write(temporary);
      await syncFolder(temporary);
      if (target.existing) await takeOver(temporary, target.existing);
      await takePlace(temporary, target.path);
    } catch (cause) {
      await dropTemporary(temporary);
      throw cause;
    }
    await syncFolder(dirname(target.path));
  } catch (cause) {
    throw ioError('write', path, cause);
  }
}

async function takePlace(temporary: string, path: string): Promise<void> {
  const aside = temporaryPath(path, 'old');
  // Until the new folder has its name, the old one is the only copy, so that an exit must not remove it as a temporary. There is
  // no turn of the event loop between the two renames, so that only a kill can leave the name free; removeAbandoned then
  // gives the old folder its name back.
  forgetTemporary(aside);
  const replaces = renameIfThere(path, aside);
  try {
    renameSync(temporary, path);
  } catch (cause) {
    if (replaces) renameSync(aside, path);
    throw cause;
  }
  forgetTemporary(temporary);
  if (replaces) await rm(aside, { recursive: true, force: true });
}

function renameIfThere(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
}

/**
 * Deletes a folder. It is renamed first, so that nobody sees it under its name with some of its files missing. @throws
 * HintError IO
 */
export async function removeDirectory(path: string): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    renameIfThere(path, temporary);
  } catch (cause) {
    throw ioError('delete', path, cause);
  } finally {
    await dropTemporary(temporary);
  }
}
