import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readError } from '../../util/read-error.js';

/**
 * Paths of the files below a folder, sorted, with `/` between their parts; names that begin with a dot are passed over. Links to
 * folders are followed, and each folder is looked into once, by a name that leads through no link where it has one. A link that
 * leads nowhere counts as a file: who opens it is told.
 *
 * @param what names the folder in errors
 * @throws HintError NOT_FOUND, IO
 */
export async function filesBelow(folder: string, what: string): Promise<string[]> {
  const files: string[] = [];
  const seen = new Set<string>();
  const folders = [''];
  // Behind all other folders, so that the name without a link comes first.
  const linked: string[] = [];
  for (;;) {
    const below = folders.pop() ?? linked.shift();
    if (below === undefined) return files.sort();
    const path = join(folder, below);
    const named = below === '' ? what : undefined;
    const real = await realpath(path).catch(thrown(path, named));
    if (seen.has(real)) continue;
    seen.add(real);
    const entries = await readdir(path, { withFileTypes: true }).catch(thrown(path, named));
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith('.')) continue;
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) folders.push(name);
      else if (entry.isSymbolicLink() && (await isFolder(join(folder, name)))) linked.push(name);
      else files.push(name);
    }
  }
}

function thrown(path: string, what: string | undefined): (cause: unknown) => never {
  return (cause) => {
    throw readError(path, cause, what);
  };
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );
}
