import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readTar } from '../../formats/tar/entries.js';
import { HintError } from '../../util/errors.js';
import { readError } from '../../util/read-error.js';
import { readBytes } from '../../util/read-file.js';
import { sourceMark } from './source-mark.js';

/** A file of the published repository that is wanted. */
export interface SniSourceFile {
  /** Below the repository: `tasks/NAME.json` or `splits/TRACK/NAME.txt`. */
  readonly path: string;
  /** Tells it from another file of that path. */
  readonly from: string;
  /** Names it in errors. */
  readonly where: string;
  /** How many files there are, where that is known. */
  readonly total: number | undefined;
  readonly read: () => Promise<Buffer>;
}

// An archive of a repository has one folder around everything.
const IN_ARCHIVE = /^(?:\.\/)?(?:[^/]+\/)?(tasks\/[^/]+\.json|splits\/[^/]+\/[^/]+\.txt)$/;
const ARCHIVE = /\.(tar|tgz|tar\.gz)$/i;

/**
 * The files of the published repository, from a folder or an archive of it, that Super-NaturalInstructions consists of.
 *
 * @throws HintError NOT_FOUND for what is neither, INVALID_FILE for a name with a control character, IO
 * @returns an archive is read as its files are asked for, which then throws as `readTar`, and INVALID_FILE for a second repository
 *   or a file twice
 */
export async function sniSourceFiles(
  source: string,
  signal: AbortSignal | undefined,
): Promise<AsyncGenerator<SniSourceFile, void, undefined>> {
  const status = await stat(source).catch((cause: unknown) => {
    throw readError(source, cause, 'the natural-instructions repository');
  });
  if (status.isDirectory()) return filesOfFolder(source, await pathsIn(source), signal);
  if (status.isFile() && ARCHIVE.test(source)) return filesOfArchive(source, signal);
  throw new HintError(
    'NOT_FOUND',
    `${source} is neither a folder nor an archive that is known; give a clone of https://github.com/allenai/natural-instructions, or its .tar or .tar.gz.`,
  );
}

/** Paths below a folder of the repository. @throws HintError NOT_FOUND where there is none, INVALID_FILE as {@link requireName}, IO */
async function pathsIn(source: string): Promise<string[]> {
  const found = [
    ...(await splitLists(source)),
    ...(await namesIn(join(source, 'tasks')))
      .filter((name) => name.endsWith('.json'))
      .map((name) => `tasks/${name}`),
  ];
  if (found.length === 0) throw noRepository(source);
  for (const path of found) requireName(path, source);
  return found;
}

async function* filesOfFolder(
  source: string,
  found: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<SniSourceFile, void, undefined> {
  for (const path of found) {
    const where = join(source, path);
    const from = await sourceMark(path, where);
    yield { path, from, where, total: found.length, read: () => readBytes(where, 'the file', signal) };
  }
}

async function splitLists(source: string): Promise<string[]> {
  const lists: string[] = [];
  for (const track of await namesIn(join(source, 'splits')))
    for (const name of await namesIn(join(source, 'splits', track)))
      if (name.endsWith('.txt')) lists.push(`splits/${track}/${name}`);
  return lists;
}

/** Sorted; none where there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).then(
    (names) => names.sort(),
    (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return [];
      throw readError(folder, cause);
    },
  );
}

async function* filesOfArchive(
  source: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<SniSourceFile, void, undefined> {
  let root: string | undefined;
  const read = new Set<string>();
  for await (const { path: full, bytes, modified } of readTar(
    source,
    ({ path }) => IN_ARCHIVE.test(path),
    signal,
  )) {
    const path = IN_ARCHIVE.exec(full)?.[1] ?? full;
    requireName(path, source);
    const around = full.slice(0, full.length - path.length).replace(/^\.\//, '');
    root ??= around;
    if (root !== around || read.has(path))
      throw new HintError(
        'INVALID_FILE',
        `${source} has files of the repository in more places than one, in ${JSON.stringify(root)} and as ${full}; give the archive of one repository, as it is published.`,
      );
    read.add(path);
    yield {
      path,
      from: `${path} ${bytes.length} ${Math.floor(modified)}`,
      where: `${source}, entry ${full}`,
      total: undefined,
      read: async () => bytes,
    };
  }
  if (root === undefined) throw noRepository(source);
}

/** A name is shown in a terminal and written into lists of tasks, a line each. */
function requireName(path: string, source: string): void {
  if (/\p{Cc}/u.test(path))
    throw new HintError(
      'INVALID_FILE',
      `${source} has a file whose name holds a control character, ${JSON.stringify(path)}; rename it or leave it out.`,
    );
}

function noRepository(source: string): HintError {
  return new HintError(
    'NOT_FOUND',
    `${source} holds neither tasks/*.json nor splits/; give the natural-instructions repository (git clone https://github.com/allenai/natural-instructions).`,
  );
}
