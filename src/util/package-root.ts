import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HintError } from './errors.js';

let root: string | undefined;

/**
 * The folder of this package: the nearest one above this file whose package.json is named `hint-engine`, whether
 * the file runs from `src/` or from `dist/`.
 *
 * @throws HintError `NOT_FOUND` when there is none (the files were moved out of their package)
 */
export function packageRoot(): string {
  if (root !== undefined) return root;
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (
      existsSync(file) &&
      (JSON.parse(readFileSync(file, 'utf8')) as { name?: string }).name === 'hint-engine'
    )
      return (root = folder);
    if (dirname(folder) === folder)
      throw new HintError(
        'NOT_FOUND',
        `No package.json of hint-engine above ${start}; keep the package's files together, as npm installs them.`,
      );
  }
}

/** The version of this package. @throws HintError NOT_FOUND as {@link packageRoot} */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as { version: string })
    .version;
}
