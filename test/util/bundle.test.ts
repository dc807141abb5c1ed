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

interface EntryPoint {
  default: string;
  types: string;
}

async function entryPoints(): Promise<{ exports: Record<string, EntryPoint>; main: string; types: string }> {
  return JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as never;
}

it('the package exports all that the library has, from one bundle, with types', async () => {
  const { exports, main, types } = await entryPoints();
  expect(exports['.']).toEqual({ types: `./${types}`, default: `./${main}` });
  expect(Object.keys(exports)).toEqual(['.', './server', './tensor', './testing']);
  for (const [name, entry] of Object.entries(exports)) {
    const compiledFile = entry.types.replace(/\.d\.ts$/, '.js');
    const [bundled, compiled] = await Promise.all([exportsOf(entry.default), exportsOf(compiledFile)]);
    // Messages tell the names of classes, so the bundle keeps them.
    expect(bundled, name).toEqual(compiled);
    expect(Object.keys(bundled).length, name).toBeGreaterThan(name === '.' ? 50 : 1);
  }
});

it('all entry points have the same classes, so that a Device of one is a Device to the others', async () => {
  const { exports } = await entryPoints();
  const addresses = Object.values(exports).map((entry) => pathToFileURL(join(root, entry.default)).href);
  const [library, , tensor, testing] = addresses.map((address) => JSON.stringify(address));
  const program = `
    const [{ Engine }, { Device }, { openTinyEngine }] = await Promise.all([import(${library}), import(${tensor}), import(${testing})]);
    const engine = await openTinyEngine();
    console.log(engine instanceof Engine, engine.model.device instanceof Device);
    await engine.close();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  expect(stdout.trim()).toBe('true true');
});

it.each(['library', 'cli'])('the bundle %s imports no package that it contains', async (part) => {
  const folder = join(root, 'dist/bundle', part);
  const files = await readdir(folder);
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) expect(await readFile(join(folder, file), 'utf8')).not.toMatch(/from ?"zod/);
});
