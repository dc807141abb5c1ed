import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { globSync } from 'tinyglobby';
import { root } from './citations.js';

/** Paths that a build or a run makes. */
const MADE = /^docs\/api$/;
/** On the page of the method, scripts in these languages belong to the original's repository. */
const ORIGINAL = /\.(?:py|sh)$/;

/** The folders a path of the repository begins with. */
const PATH =
  /(?<![\w./~-])(?:src|native|bindings|test|scripts|bench|docs|models)\/[\w.*<>{},/-]*[\w*>}/]|(?<![\w./-])\.ci\/\w+/g;
const LINK = /\]\(([^)\s]+)\)/g;

/** README.md and every page of docs, named from the root. */
export function pages(): { name: string; text: string }[] {
  const names = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('api/'))
    .map((name) => `docs/${name}`);
  return ['README.md', ...names].map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }));
}

/** The anchors of a page as GitHub makes them: headings in lower case, punctuation dropped, spaces as hyphens. */
function anchorsOf(file: string): Set<string> {
  const headings = readFileSync(file, 'utf8').matchAll(/^#{1,6} (.+)$/gm);
  return new Set(
    [...headings].map(
      ([, heading = '']) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'), // prettier-ignore
    ),
  );
}

/**
 * Paths and relative links on a page that do not exist. `*` and `{a,b}` are a glob, which must match something;
 * `<name>` stands for one name, so that `native/ops/<op>/cpu.cc` has to exist for some op. A path that the page has the
 * reader make, by the words "New file `PATH`", need not exist.
 *
 * @param name where the page lies, from the root
 */
export function wrongPaths(name: string, text: string): string[] {
  const wrong: string[] = [];
  const prose = text.replace(/\]\([^)]*\)|https?:\/\/\S+/g, ']');
  const made = [...text.matchAll(/^New file `([^`]+)`/gm)].map(([, file = '']) => file);
  for (const [path] of prose.matchAll(PATH)) {
    const bare = path.replace(/\/$/, '');
    if (MADE.test(bare) || made.some((file) => file === bare || file.startsWith(`${bare}/`))) continue;
    if (name === 'docs/method.md' && ORIGINAL.test(bare)) continue;
    const pattern = bare.replace(/<\w+>/g, '*');
    const found = /[*{]/.test(pattern)
      ? globSync(pattern, { cwd: root, dot: true, onlyFiles: false }).length > 0
      : existsSync(join(root, bare));
    if (!found) wrong.push(`${path} does not exist`);
  }
  for (const [, target = ''] of text.matchAll(LINK)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? join(root, name) : resolve(join(root, dirname(name)), path);
    if (relative(root, file).startsWith('..') || !existsSync(file)) wrong.push(`${target} does not exist`);
    else if (anchor !== undefined && !anchorsOf(file).has(anchor))
      wrong.push(`${target} has no such heading`);
  }
  return wrong;
}
