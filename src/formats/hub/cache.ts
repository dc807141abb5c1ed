import { existsSync, readFileSync, statSync } from 'node:fs';
import { copyFile, link, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { forgetTemporary, temporaryPath } from '../../util/temporary.js';
import { ioError, makeFolder } from '../../util/write-error.js';
import type { HubFile } from './repository.js';

// The layout is that of huggingface_hub, so that both use what the other has downloaded:
//   models--OWNER--NAME/blobs/DIGEST, refs/REVISION (a commit), snapshots/COMMIT/PATH (links to blobs)

/** A repository's place in the hub's cache. */
export class HubCache {
  readonly folder: string;

  /** @param name owner/name @param root default: HF_HUB_CACHE, or what HF_HOME or the home folder lead to */
  constructor(name: string, root = cacheFolder()) {
    this.folder = join(root, `models--${name.replace('/', '--')}`);
  }

  blob({ digest }: HubFile): string {
    return join(this.folder, 'blobs', digest);
  }

  /** Where a file's bytes are until all of them are there. */
  partOf(file: HubFile): string {
    return `${this.blob(file)}.incomplete`;
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** Whether a file is there whole, by its size: its content was checked before it got its name. */
  async has(file: HubFile): Promise<boolean> {
    const found = await stat(this.blob(file)).catch(() => undefined);
    return found?.isFile() === true && found.size === file.size;
  }

  /** Bytes of a file that are there: all, or those that an earlier download left. */
  async bytesOf(file: HubFile): Promise<number> {
    if (await this.has(file)) return file.size;
    const part = await stat(this.partOf(file)).catch(() => undefined);
    return Math.min(part?.size ?? 0, file.size);
  }

  /** The commit that a branch or tag had when it was last asked for; a commit is itself. */
  commitOf(revision: string): string | undefined {
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    try {
      const commit = readFileSync(join(this.folder, 'refs', revision), 'utf8').trim();
      return /^[0-9a-f]{40}$/.test(commit) ? commit : undefined;
    } catch {
      return undefined;
    }
  }

  /** The folder of a revision that was downloaded to its end. */
  found(revision: string): string | undefined {
    const commit = this.commitOf(revision);
    if (commit === undefined) return undefined;
    const folder = this.snapshot(commit);
    return existsSync(folder) && statSync(folder).isDirectory() ? folder : undefined;
  }

  /** @throws HintError IO */
  async noteCommit(revision: string, commit: string): Promise<void> {
    if (revision !== commit) await writeFileAtomic(join(this.folder, 'refs', revision), commit);
  }

  /**
   * Gives a blob its name in a snapshot: a relative link, or a second name or a copy where there are none.
   *
   * @throws HintError IO
   */
  async linkInto(commit: string, file: HubFile): Promise<void> {
    const path = join(this.snapshot(commit), file.path);
    const target = relative(dirname(path), this.blob(file));
    if ((await readlink(path).catch(() => undefined)) === target) return;
    await makeFolder(dirname(path));
    const temporary = temporaryPath(path);
    try {
      await symlink(target, temporary)
        .catch(() => link(this.blob(file), temporary))
        .catch(() => copyFile(this.blob(file), temporary));
      await rename(temporary, path);
      forgetTemporary(temporary);
    } catch (cause) {
      await rm(temporary, { force: true });
      forgetTemporary(temporary);
      throw ioError('write', path, cause);
    }
  }
}

/**
 * The folder of a model that was downloaded before, for a name such as google/t5-base-lm-adapt or NAME@REVISION.
 *
 * @returns undefined for what is no such name, and for what the cache does not have
 */
export function downloadedModel(text: string): string | undefined {
  const [, name, revision = 'main'] = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?$/.exec(text) ?? [];
  if (name === undefined || `${name}/${revision}`.includes('..')) return undefined;
  return new HubCache(name).found(revision);
}

/** The cache's folder, by the variables that huggingface_hub reads. */
function cacheFolder(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE } = process.env;
  return HF_HUB_CACHE ?? HUGGINGFACE_HUB_CACHE ?? join(homeOfHub(), 'hub');
}

function homeOfHub(): string {
  const { HF_HOME, XDG_CACHE_HOME } = process.env;
  return HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
}

/** The token of the environment, or of the file that `huggingface-cli login` writes. */
export function storedToken(): string | undefined {
  const given = process.env['HF_TOKEN'] ?? process.env['HUGGING_FACE_HUB_TOKEN'];
  if (given !== undefined) return given.trim() || undefined;
  try {
    return (
      readFileSync(process.env['HF_TOKEN_PATH'] ?? join(homeOfHub(), 'token'), 'utf8').trim() || undefined
    );
  } catch {
    return undefined;
  }
}
