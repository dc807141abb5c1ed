import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/util/package-root.js';

let compiled: Promise<void> | undefined;

/** Worker threads run a bundle of compiled JavaScript: builds it when it is older than the data layer. */
export function ensureCompiledWorker(): Promise<void> {
  return (compiled ??= compileIfStale());
}

async function compileIfStale(): Promise<void> {
  const root = packageRoot();
  const modified = async (file: string): Promise<number> =>
    (await stat(file).catch(() => undefined))?.mtimeMs ?? 0;
  const sources = ['src/data', 'src/util'].map((folder) => join(root, folder));
  const files = (
    await Promise.all(
      sources.map(async (at) => (await readdir(at, { recursive: true })).map((name) => join(at, name))),
    )
  ).flat();
  const newest = Math.max(...(await Promise.all(files.map(modified))));
  const worker = join(root, 'dist', 'bundle', 'workers', 'tokenize.js');
  if ((await modified(worker)) > newest) return;
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  // An error elsewhere in src/ does not keep the compiler from writing the files the worker needs.
  await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: root }).catch(
    () => undefined,
  );
  const bundling = `import(${JSON.stringify(join(root, 'scripts', 'bundle.mjs'))}).then(({ bundle }) => bundle(${JSON.stringify(root)}))`;
  await promisify(execFile)(process.execPath, ['-e', bundling], { cwd: root });
  if ((await modified(worker)) <= newest)
    throw new Error(`${worker} was not compiled; run npm run build:ts to see why.`);
}
