import { closeSync, constants, openSync, type Stats } from 'node:fs';
import { access, chmod, chown, open, readFile, rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { withStream, writeFully, type Sink } from './output-stream.js';
import { findTarget, systemError } from './output-target.js';
import { dropTemporary, forgetTemporary, removeAbandoned, temporaryPath } from './temporary.js';
import { ioError, makeMissingFolders } from './write-error.js';

/**
 * Appends bytes, or text as UTF-8, to the file that is written. The caller must not change the bytes before the promise
 * resolves.
 */
export type Append = (data: Uint8Array | string) => Promise<void>;

/** Syncs a folder, so that a rename in it survives a power cut, on systems where folders can be synced. */
export async function syncFolder(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/**
 * Writes a file all or nothing: `write` fills a temporary file beside it, which then takes its place. Whatever fails,
 * and however the process ends, an existing file keeps its content until the new one is whole; the temporary one is
 * removed, after a kill by the next process that writes into the folder.
 *
 * Symbolic links are followed, dangling ones too. A new file replaces the old one with its mode and, where the system
 * allows, its owner. A device, a pipe or /dev/stdout is opened, and written as data comes.
 *
 * @param signal ends the waiting for a pipe's reader
 * @throws HintError IO if the file cannot be written (full disk, no permission, no such directory, …), ABORTED; what
 *   `write` itself throws is passed on
 */
export async function writeFileAtomically(
  path: string,
  write: (append: Append) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const fill = (sink: Sink): Promise<void> =>
    write((data) => writeFully(sink, typeof data === 'string' ? Buffer.from(data) : data, signal));
  try {
    const target = await findTarget(path);
    if (target.kind === 'folder') throw systemError('EISDIR');
    if (target.kind === 'descriptor') await fill(target.descriptor);
    else if (target.kind === 'stream') await withStream(target, signal, fill);
    else await replaceFile(target.path, target.existing, fill);
  } catch (error) {
    throw ioError('write', path, error);
  }
}

async function replaceFile(
  path: string,
  existing: Stats | undefined,
  fill: (sink: Sink) => Promise<void>,
): Promise<void> {
  // A write-protected file is not replaced, although its folder would allow it.
  if (existing) await access(path, constants.W_OK);
  await removeAbandoned(dirname(path));
  const temporary = temporaryPath(path);
  try {
    // Made at once: an opening that is under way when the process exits would leave the file behind.
    closeSync(openSync(temporary, 'wx', existing ? 0o600 : 0o666));
    const file = await open(temporary, 'r+');
    try {
      await fill(file);
      await file.sync();
    } finally {
      await file.close();
    }
    if (existing) await takeOver(temporary, existing);
    await rename(temporary, path);
    forgetTemporary(temporary);
  } catch (error) {
    await dropTemporary(temporary);
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Gives a temporary file or folder the mode of the one that it will replace and, where this user may, its owner. */
export async function takeOver(temporary: string, existing: Stats): Promise<void> {
  const { uid, gid, mode } = existing;
  await chown(temporary, uid, gid)
    .catch(() => chown(temporary, -1, gid))
    .catch(() => undefined);
  // The bits that run a file as its owner or group are left out, because the owner may be another one now.
  const kept = existing.isDirectory() ? 0o3777 : 0o777;
  await chmod(temporary, mode & kept).catch(() => undefined);
}

/**
 * Writes a whole file or nothing, as {@link writeFileAtomically} does.
 *
 * @param file destination; missing parent folders are created
 * @param data text (UTF-8) or bytes
 * @throws HintError `IO` when the folder cannot be written or the disk is full, `ABORTED`
 */
export async function writeFileAtomic(
  file: string,
  data: string | Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  try {
    // The temporary file must be in the real folder of the target, to which a link may lead.
    const target = await findTarget(file);
    if (target.kind === 'file') await makeMissingFolders(dirname(target.path));
  } catch (error) {
    throw ioError('write', file, error);
  }
  await writeFileAtomically(file, (append) => append(data), signal);
}

/** Copies a small file, as {@link writeFileAtomic} writes one. @throws HintError IO */
export async function copyFileAtomic(from: string, to: string): Promise<void> {
  const bytes = await readFile(from).catch((cause: unknown) => {
    throw ioError('read', from, cause);
  });
  await writeFileAtomic(to, bytes);
}

/**
 * Appends whole lines to a file, which is created when it is missing. When a kill has cut off the last line, a line
 * feed is written first. When not all lines can be written, none is.
 *
 * @param lines ends with a line feed
 * @throws HintError IO
 */
export function appendLines(path: string, lines: string): Promise<void> {
  return appendTo(path, async (file, size) => {
    const last = Buffer.alloc(1);
    if (size > 0) await file?.read(last, 0, 1, size - 1);
    const isTorn = size > 0 && last[0] !== 0x0a;
    return Buffer.from(isTorn ? `\n${lines}` : lines);
  });
}

/**
 * Appends bytes to a file, which is created when it is missing. When not all can be written, none is.
 *
 * @throws HintError IO
 */
export function appendBytes(path: string, bytes: Buffer): Promise<void> {
  return appendTo(path, async () => bytes);
}

async function appendTo(
  path: string,
  content: (file: FileHandle | undefined, size: number) => Promise<Buffer>,
): Promise<void> {
  try {
    const target = await findTarget(path);
    if (target.kind === 'folder') throw systemError('EISDIR');
    if (target.kind !== 'file') {
      const bytes = await content(undefined, 0);
      await writeFileAtomically(path, (append) => append(bytes));
      return;
    }
    await using file = await open(target.path, 'a+');
    const { size } = await file.stat();
    await writeFully(file, await content(file, size)).catch(async (cause: unknown) => {
      await file.truncate(size).catch(() => undefined);
      throw cause;
    });
  } catch (error) {
    throw ioError('write', path, error);
  }
}

/**
 * Refuses an impossible output path before the work: a folder, a place without permission, an impossible name. Later
 * changes show as errors when the output is written.
 *
 * @throws HintError IO as {@link writeFileAtomic}
 */
export async function checkOutput(path: string): Promise<void> {
  try {
    const target = await findTarget(path);
    if (target.kind === 'folder') throw systemError('EISDIR');
    if (target.kind === 'stream') await access(target.path, constants.W_OK);
    if (target.kind !== 'file') return;
    if (target.existing) await access(target.path, constants.W_OK);
    await access(await nearestFolder(target.path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw ioError('write', path, error);
  }
}

async function nearestFolder(path: string): Promise<string> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const found = await access(folder).then(
      () => true,
      (cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'ENOENT') throw cause;
        return false;
      },
    );
    if (found || folder === dirname(folder)) return folder;
  }
}
