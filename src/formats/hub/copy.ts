import { constants } from 'node:fs';
import { copyFile, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { throwIfAborted } from '../../util/errors.js';
import { dropTemporary, forgetTemporary, temporaryPath } from '../../util/temporary.js';
import { ioError, makeFolder } from '../../util/write-error.js';
import type { DownloadedModel } from './download.js';

/**
 * Copies a downloaded model to a folder of its own, where files are files and no links: each all or nothing.
 *
 * @returns the folder
 * @throws HintError IO, ABORTED
 */
export async function copyDownloaded(
  { folder, files }: DownloadedModel,
  output: string,
  signal?: AbortSignal,
): Promise<string> {
  const names = files.length > 0 ? files.map(({ path }) => path) : await namesIn(folder);
  for (const name of names) {
    throwIfAborted(signal);
    const path = join(output, name);
    await makeFolder(dirname(path));
    const temporary = temporaryPath(path);
    try {
      // Without copying where the file system shares blocks.
      await copyFile(join(folder, name), temporary, constants.COPYFILE_FICLONE);
      await rename(temporary, path);
      forgetTemporary(temporary);
    } catch (cause) {
      await dropTemporary(temporary);
      throw ioError('write', path, cause);
    }
  }
  return output;
}

async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const kinds = await Promise.all(names.map((name) => stat(join(folder, name))));
  return names.filter((_, i) => kinds[i]?.isFile());
}
