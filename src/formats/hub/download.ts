import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes } from '../../util/bytes.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { makeFolder } from '../../util/write-error.js';
import { HubCache, storedToken } from './cache.js';
import { downloadFile } from './download-file.js';
import { hubAccess, type HubAccess } from './http.js';
import { checkName, checkRevision, readSnapshot, type HubFile } from './repository.js';
import { neededFiles } from './selection.js';

/** What a download brings. */
export interface DownloadPlan {
  readonly commit: string;
  /** The files that the model needs. */
  readonly files: readonly HubFile[];
  /** Of all of them, */
  readonly bytes: number;
  /** and those of them that the cache does not have. */
  readonly missingBytes: number;
}

export interface DownloadOptions {
  /** Branch, tag or commit (default main). */
  revision?: string | undefined;
  /** Default: HF_TOKEN, or the file that `huggingface-cli login` writes. */
  token?: string | undefined;
  /** Only look into the cache (default: HF_HUB_OFFLINE). */
  offline?: boolean | undefined;
  /** The cache's folder (default: HF_HUB_CACHE, or what HF_HOME or the home folder lead to). */
  cache?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Told what will be brought, before the first byte is; what it throws ends the download. Not called offline. */
  onPlan?: ((plan: DownloadPlan) => Promise<void> | void) | undefined;
  /** Bytes that are there, of all that are needed, and the file that comes. */
  onProgress?: ((done: number, total: number, file: string) => void) | undefined;
  /** What of {@link hubAccess} is otherwise: times, for tests. */
  access?: Partial<HubAccess> | undefined;
}

/** A model in the cache. */
export interface DownloadedModel {
  /** Holds the files by their names; open it as a model directory. */
  folder: string;
  /** What the revision stood for: when it was last asked for, when offline. */
  commit: string;
  /** The files that the model needs; empty when offline. */
  files: HubFile[];
}

/**
 * Downloads the files of a model that are needed from the Hugging Face hub, or a mirror that HF_ENDPOINT names, into the
 * hub's cache, which Python's huggingface_hub shares. What is there is not asked for again; what was cut off goes on.
 *
 * @param name owner/name
 * @throws HintError INVALID_ARGUMENT, NOT_FOUND (no such model, revision or access; offline: not in the cache),
 *   NOT_SUPPORTED (no weights that are read), INVALID_FILE (a checksum differs), IO, ABORTED
 */
export async function downloadModel(name: string, options: DownloadOptions = {}): Promise<DownloadedModel> {
  const { revision = 'main', signal } = options;
  checkName(name);
  checkRevision(revision);
  const cache = new HubCache(name, options.cache);
  if (options.offline ?? isOffline()) return offline(name, revision, cache);
  const access = { ...hubAccess(options.token ?? storedToken()), ...options.access };
  const { commit, files } = await readSnapshot(access, name, revision, signal);
  const needed = neededFiles(name, files);
  const total = needed.reduce((sum, { size }) => sum + size, 0);
  const there = await Promise.all(needed.map((file) => cache.bytesOf(file)));
  const missingBytes = total - there.reduce((sum, bytes) => sum + bytes, 0);
  await options.onPlan?.({ commit, files: needed, bytes: total, missingBytes });
  await requireRoom(name, missingBytes, cache.folder);
  let done = 0;
  for (const file of needed) {
    throwIfAborted(signal);
    const before = done;
    const report = (bytes: number): void => options.onProgress?.((done += bytes), total, file.path);
    if (!(await cache.has(file))) await downloadFile(access, cache, { name, commit, file }, report, signal);
    done = before + file.size;
    options.onProgress?.(done, total, file.path);
  }
  // A snapshot is there when all of its files are: whoever looks for a commit offline looks for its folder.
  for (const file of needed) await cache.linkInto(commit, file);
  // Last of all: whoever finds the revision finds all of its files.
  await cache.noteCommit(revision, commit);
  return { folder: cache.snapshot(commit), commit, files: needed };
}

/** @throws HintError IO where the disk has less free than is to come; no system says it of every disk */
async function requireRoom(name: string, bytes: number, folder: string): Promise<void> {
  await makeFolder(folder);
  const disk = await statfs(folder).catch(() => undefined);
  const free = disk && disk.bavail * disk.bsize;
  if (free === undefined || bytes <= free) return;
  throw new HintError(
    'IO',
    `${formatBytes(bytes)} of ${name} are to come, and the disk of ${folder} has ${formatBytes(free)} free; free some, or name a folder on another disk with HF_HUB_CACHE.`,
  );
}

function offline(name: string, revision: string, cache: HubCache): DownloadedModel {
  const folder = cache.found(revision);
  const commit = cache.commitOf(revision);
  if (folder === undefined || commit === undefined)
    throw new HintError(
      'NOT_FOUND',
      `${name} at ${revision} is not in the cache (${join(cache.folder, 'snapshots')}), and nothing is downloaded offline; run the command once with a network.`,
    );
  return { folder, commit, files: [] };
}

function isOffline(): boolean {
  const variables = ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].map((variable) => process.env[variable] ?? '');
  return variables.some((value) => /^(1|true|yes|on)$/i.test(value));
}
