import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HintError } from '../errors.js';

/**
 * Writes a whole file or nothing: the bytes go to a temporary file in the same folder, are flushed to disk, and
 * only then take the name `file`. A crash or a full disk leaves the previous content, and no temporary file
 * survives an error.
 *
 * @param file destination; missing parent folders are created
 * @param data text (UTF-8) or bytes
 * @throws HintError `IO` when the folder cannot be written or the disk is full
 */
export async function writeFileAtomic(file: string, data: string | Uint8Array): Promise<void> {
  const folder = dirname(file);
  const temporary = join(folder, `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HintError(
      'IO',
      `Could not write ${file} (${reason}); nothing was changed. Check that the folder is writable and the disk has room.`,
      { cause },
    );
  }
}
