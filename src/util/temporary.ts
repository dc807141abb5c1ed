import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { lstat, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fnv1a32 } from './hash.js';
import { hasEnded, thisProcess, type ProcessOwner } from './process-owner.js';
import { ioError } from './write-error.js';

// A file name has at most 255 bytes, of which the mark of the owner takes the rest.
const MOST_NAME_BYTES = 160;

/**
 * The use of a temporary file or folder. `tmp` is new and is removed when its process has ended. `old` is being
 * replaced, and gets its name back when the replacement did not happen.
 */
type Use = 'tmp' | 'old';

const MARKED = /^\.(.*)\.([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}\.(tmp|old)$/s;

let own: ProcessOwner | undefined;
/** Temporary files and folders of this thread that are in use. */
const live = new Set<string>();

/** The identity of this process as it is in the names of temporary files: texts are shortened to hashes. */
function ownMark(): ProcessOwner {
  if (own?.pid !== process.pid) {
    const { pid, host, namespace, boot, start } = thisProcess();
    own = { pid, host: short(host), namespace: short(namespace), boot: short(boot), start: start ?? '0' };
  }
  return own;
}

function short(text: string | null): string {
  return fnv1a32(text ?? '')
    .toString(16)
    .padStart(8, '0');
}

/**
 * A new hidden path beside `path`, on the same file system, whose name identifies this process. The file or folder
 * there is removed when the process exits, also by `process.exit` or an error, unless {@link forgetTemporary} was
 * called. {@link removeAbandoned} removes those of killed processes.
 */
export function temporaryPath(path: string, use: Use = 'tmp'): string {
  const { pid, host, namespace, boot, start } = ownMark();
  const mark = `${host}-${boot}-${namespace}-${pid}-${start}-${randomBytes(4).toString('hex')}`;
  const temporary = join(dirname(path), `.${shortened(basename(path))}.${mark}.${use}`);
  removeAtExit(temporary);
  return temporary;
}

function shortened(name: string): string {
  const bytes = Buffer.from(name);
  // Cutting may change the last character, which does no harm: only people read this part of the name.
  return bytes.length <= MOST_NAME_BYTES ? name : bytes.toString('utf8', 0, MOST_NAME_BYTES);
}

/** Registers a file or folder to be removed when the process exits in an orderly way. */
export function removeAtExit(path: string): void {
  if (live.size === 0) process.on('exit', removeLive);
  live.add(path);
}

/** Ends the removal at exit, because the temporary file was renamed or removed. */
export function forgetTemporary(path: string): void {
  live.delete(path);
  if (live.size === 0) process.off('exit', removeLive);
}

/** Removes a temporary file or folder now. If that fails, a later process removes it. */
export async function dropTemporary(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
  forgetTemporary(path);
}

function removeLive(): void {
  for (const path of live) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // A later process removes it; at an exit an error could not be reported.
    }
  }
}

/**
 * Removes the temporary files that ended processes left in a folder. Those of running processes stay, and so do those
 * of other hosts or containers, whose processes cannot be checked.
 */
export async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [] as string[]);
  for (const name of names) {
    const [, original = '', host = '', boot = '', namespace = '', pid, start = '', use] =
      MARKED.exec(name) ?? [];
    if (pid === undefined) continue;
    const owner = { pid: Number(pid), host, boot, namespace, start: start === '0' ? null : start };
    if (!hasEnded(owner, ownMark())) continue;
    const path = join(folder, name);
    if (use === 'old' && (await takesItsNameBack(path, join(folder, original)))) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** A folder whose process was killed after it had been put aside and before another came in its place. */
async function takesItsNameBack(aside: string, path: string): Promise<boolean> {
  if (Buffer.byteLength(basename(path)) >= MOST_NAME_BYTES) return false;
  const taken = await lstat(path).catch(() => undefined);
  if (taken) return false;
  return rename(aside, path).then(
    () => true,
    () => false,
  );
}

/**
 * A new folder of this process among the system's temporary files; the caller ends it with {@link dropTemporary}.
 *
 * @throws HintError IO
 */
export async function temporaryFolder(name: string): Promise<string> {
  const parent = tmpdir();
  await removeAbandoned(parent);
  const folder = temporaryPath(join(parent, name));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (cause) {
    forgetTemporary(folder);
    throw ioError('make the folder', folder, cause);
  }
  return folder;
}
