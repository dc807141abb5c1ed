import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/util/package-root.js';

const root = packageRoot();
/** What a file of the package exports: its names, and those that functions and classes give themselves. In a process as users have it. */
async function exportsOf(file: string): Promise<Record<string, string | null>> {
  const address = JSON.stringify(pathToFileURL(join(root, file)).href);
  const program =
    `const found = await import(${address});` +
    "console.log(JSON.stringify(Object.fromEntries(Object.entries(found).map(([name, value]) => [name, typeof value === 'function' ? value.name : null]))));";
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  return JSON.parse(stdout) as Record<string, string | null>;
}

it('the package exports all that the library has, from one bundle, with types', async () => {
  const { exports, main, types } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    exports: { '.': { default: string; types: string } };
    main: string;
    types: string;
  };
  expect(exports['.']).toEqual({ types: `./${types}`, default: `./${main}` });
  const [bundled, compiled] = await Promise.all([exportsOf(main), exportsOf('dist/index.js')]);
  // Messages tell the names of classes, so the bundle keeps them.
  expect(bundled).toEqual(compiled);
  expect(Object.keys(bundled).length).toBeGreaterThan(50);
});

it.each(['library', 'cli'])('the bundle %s imports no package that it contains', async (part) => {
  const folder = join(root, 'dist/bundle', part);
  const files = await readdir(folder);
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) expect(await readFile(join(folder, file), 'utf8')).not.toMatch(/from ?"zod/);
});
