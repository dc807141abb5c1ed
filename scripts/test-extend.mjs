// Follows pages of docs/extend in a scratch copy of the checkout: writes the files that a page shows and runs its commands, from
// top to bottom, and fails with the first that does not do what the page says.
//   node scripts/test-extend.mjs [PAGE…] [--cuda] [--apply]      all pages of docs/extend when none is named
//     --cuda: also what the page runs with nvcc
//     --apply: only whether every block finds its place; writes and runs nothing
// The sentence that ends right before a block says what is done with it:
//   New file `PATH`:
//   In `PATH`, after the line `TEXT`:            or "before the line", "instead of the line"; PATH has TEXT exactly once
//   Run:                                         each line must succeed
//   Run, with nvcc:                              only with --cuda
//   This fails with `SENTENCE`:                  the lines must fail, and print the sentence
//   Without `PATH`, this fails with `SENTENCE`:  the same while what the page did to PATH is undone; "With nvcc, and without"
//                                                only with --cuda
// A block of the language text is only shown. A page's copy stays in build-extend/, so that its next run builds little.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { applied, PageError, stepsOf } from './extend-page.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** Folders of a copy that are not taken from the checkout. */
const KEPT = /^(node_modules|dist|build.*)$/;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { cuda: { type: 'boolean', default: false }, apply: { type: 'boolean', default: false } },
});
const pages = positionals.length > 0 ? positionals : allPages();
let failed = 0;
for (const page of pages.map((path) => relative(root, resolve(path)))) {
  const started = Date.now();
  try {
    follow(page);
    console.log(`${page}: ok (${Math.round((Date.now() - started) / 1000)} s)`);
  } catch (error) {
    if (!(error instanceof PageError)) throw error;
    failed++;
    console.error(error.message);
  }
}
process.exit(failed === 0 ? 0 : 1);

function allPages() {
  const folder = join(root, 'docs', 'extend');
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
}

function follow(page) {
  if (!existsSync(join(root, page)))
    throw new PageError(`There is no page ${page}; give its path, such as docs/extend/op.md.`);
  const steps = stepsOf(page, readFileSync(join(root, page), 'utf8'));
  if (!steps.some(({ kind }) => kind === 'run')) throw new PageError(`${page} runs nothing.`);
  const scratch = join(root, 'build-extend', basename(page, '.md'));
  if (!flags.apply) prepare(scratch);
  /** Files that the page has changed so far, with their contents before. */
  const made = new Map();
  const original = (file) =>
    existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : undefined;
  for (const step of steps) {
    if (step.kind === 'run') {
      const { without } = step;
      if (without !== undefined && !made.has(without))
        throw new PageError(`${page}:${step.line}: the page has done nothing to ${without} before this.`);
      if (flags.apply || (step.needsCuda && !flags.cuda)) continue;
      if (without !== undefined) write(scratch, without, original(without));
      runAll(page, step, scratch);
      if (without !== undefined) write(scratch, without, made.get(without));
    } else {
      const { file } = step;
      const text = applied(page, step, made.get(file) ?? original(file));
      made.set(file, text);
      if (!flags.apply) write(scratch, file, text);
    }
  }
}

/** Makes the scratch copy equal to the checkout, uncommitted changes included. */
function prepare(scratch) {
  const listed = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (listed.status !== 0)
    throw new PageError(`git ls-files failed: ${listed.stderr || listed.error?.message}`);
  const files = new Set(listed.stdout.split('\0').filter((file) => file && existsSync(join(root, file))));
  mkdirSync(scratch, { recursive: true });
  for (const file of filesBelow(scratch)) if (!files.has(file)) rmSync(join(scratch, file));
  for (const file of files) copyChanged(join(root, file), join(scratch, file));
  if (!existsSync(join(scratch, 'node_modules')))
    symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'));
  // A page that builds the native engine has its own; others use the checkout's.
  if (existsSync(join(scratch, 'build', 'CMakeCache.txt'))) return;
  const built = join(root, 'build', 'Release');
  for (const name of existsSync(built) ? readdirSync(built) : [])
    if (/\.(node|so)$/.test(name)) copyChanged(join(built, name), join(scratch, 'build', 'Release', name));
}

function* filesBelow(folder, below = '') {
  for (const entry of readdirSync(join(folder, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    if (below === '' && KEPT.test(entry.name)) continue;
    if (entry.isDirectory()) yield* filesBelow(folder, path);
    else yield path;
  }
}

/** Copies a file unless the copy is the same, so that builds see only what has changed. */
function copyChanged(from, to) {
  if (
    existsSync(to) &&
    lstatSync(to).size === lstatSync(from).size &&
    readFileSync(to).equals(readFileSync(from))
  )
    return;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}

function write(scratch, file, text) {
  const path = join(scratch, file);
  if (text === undefined) {
    rmSync(path, { force: true });
    return;
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function runAll(page, { body, failure, line }, scratch) {
  const started = Date.now();
  const command = body.trim();
  const { status, stdout, stderr, error } = spawnSync('bash', ['-euo', 'pipefail', '-c', command], {
    cwd: scratch,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...compilerCache(scratch), NO_COLOR: '1', FORCE_COLOR: '0' },
  });
  const said = stripVTControlCharacters(`${stdout}${stderr}`);
  const place = `${page}:${line}`;
  const fail = (what) => {
    throw new PageError(
      `${said.split('\n').slice(-80).join('\n')}\n${place}: in ${scratch},\n${command}\n${what}`,
    );
  };
  if (error) fail(`did not run: ${error.message}`);
  if (failure === undefined) {
    if (status !== 0) fail(`failed (exit code ${status}); the page says that it succeeds.`);
  } else {
    if (status === 0) fail('succeeded; the page says that it fails.');
    if (!said.replace(/\s+/g, ' ').includes(failure)) fail(`failed, but did not print "${failure}".`);
  }
  console.log(
    `${place}: ${failure === undefined ? 'ran' : 'failed as it should'} (${Math.round((Date.now() - started) / 1000)} s)`,
  );
}

/** With ccache, a copy's build reuses objects of other checkouts. */
function compilerCache(scratch) {
  if (process.env.CMAKE_CXX_COMPILER_LAUNCHER || spawnSync('ccache', ['--version']).status !== 0)
    return { CCACHE_BASEDIR: scratch };
  return { CMAKE_CXX_COMPILER_LAUNCHER: 'ccache', CCACHE_BASEDIR: scratch, CCACHE_NOHASHDIR: '1' };
}
