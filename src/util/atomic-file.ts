import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HintError } from '../errors.js';

// One write call holds a thread of libuv's pool until it is done; larger pieces gain no speed and starve other files.
const WRITE_CHUNK_BYTES = 16 * 1024 * 1024;

const NEXT_STEP: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space and try again',
  EDQUOT: 'the disk quota is used up; free some space and try again',
  EFBIG: 'the file is larger than this file system or process may write; raise the limit',
  EACCES: 'there is no permission to write there; choose another directory',
  EPERM: 'there is no permission to write there; choose another directory',
  EROFS: 'the file system is read-only; choose another directory',
  ENOENT: 'its directory does not exist; create it first',
  ENOTDIR: 'a part of its path is not a directory; choose another path',
  EISDIR: 'it is a directory; choose another path',
};

function writeError(path: string, cause: unknown): unknown {
  const code = (cause as NodeJS.ErrnoException).code;
  if (cause instanceof HintError || code === undefined) return cause;
  const next = NEXT_STEP[code] ?? `the system reported ${code}; check the path and the disk`;
  return new HintError('IO', `Cannot write ${path}: ${next}.`, { cause });
}

/** Writes all of `bytes`, in order, whatever their number. */
export async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.byteLength;) {
    const { bytesWritten } = await file.write(
      bytes,
      start,
      Math.min(WRITE_CHUNK_BYTES, bytes.byteLength - start),
    );
    start += bytesWritten;
  }
}

/** Makes a rename survive a power cut, on the systems where directories can be synced. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/**
 * Writes a file all or nothing: `write` fills a temporary file beside `path`, which then takes its place. Whatever
 * fails, an existing file keeps its content and the temporary one is removed.
 *
 * @throws HintError IO if the file cannot be written (full disk, no permission, no such directory, …); what `write`
 *   itself throws is passed on
 */
export async function writeFileAtomically(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeError(path, error);
  }
  await syncDirectory(directory);
}

/**
 * Writes a whole file or nothing, as {@link writeFileAtomically} does.
 *
 * @param file destination; missing parent folders are created
 * @param data text (UTF-8) or bytes
 * @throws HintError `IO` when the folder cannot be written or the disk is full
 */
export async function writeFileAtomic(file: string, data: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true }).catch((cause: unknown) => {
    throw writeError(file, cause);
  });
  await writeFileAtomically(file, (handle) => handle.writeFile(data));
}
