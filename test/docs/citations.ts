import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, relative, resolve } from 'node:path';

export const root = resolve(import.meta.dirname, '..', '..');

/**
 * Files that people write. Fixtures are left out because they are data, and these tests because they contain what they
 * refuse.
 */
const PLACES = ['.ci', 'CMakeLists.txt', 'README.md', 'bench', 'bindings', 'docs', 'native', 'package.json', 'scripts', 'src', 'test']; // prettier-ignore
const ENDINGS = new Set(['', '.ts', '.mjs', '.js', '.json', '.md', '.h', '.cc', '.cu', '.cuh', '.def', '.txt', '.sh', '.py', '.html', '.css']); // prettier-ignore
const LEFT_OUT = ['test/docs', 'test/fixtures', 'docs/api', 'bench/results'];

/** Every text of the repository, named from its root. */
export function textFiles(): { name: string; text: string }[] {
  return PLACES.map((place) => join(root, place))
    .filter((place) => existsSync(place))
    .flatMap((place) =>
      statSync(place).isDirectory()
        ? readdirSync(place, { recursive: true, encoding: 'utf8' }).map((name) => join(place, name))
        : [place],
    )
    .filter((path) => ENDINGS.has(extname(path)) && statSync(path).isFile())
    .map((path) => ({ path, name: relative(root, path) }))
    .filter(({ name }) => !LEFT_OUT.some((folder) => name.startsWith(`${folder}/`)))
    .map(({ path, name }) => ({ name, text: readFileSync(path, 'utf8') }));
}

/** The numbers of a page's headings: "## 2. …" and "### 2.5 …". */
export function headingsOf(page: string): Set<string> {
  return new Set([...page.matchAll(/^#{2,3} (\d+(?:\.\d+)?)\.? /gm)].map((match) => match[1] as string));
}

/** The numbers of the list below the heading "Laws". */
export function lawsOf(page: string): Set<string> {
  const section = /^## Laws\n([^]*?)^## /m.exec(page)?.[1] ?? '';
  return new Set([...section.matchAll(/^(\d+)\. \*\*/gm)].map((match) => match[1] as string));
}

interface Known {
  headings: ReadonlySet<string>;
  laws: ReadonlySet<string>;
  /** Whether the text is the page whose headings these are: there a number needs no name in front. */
  own: boolean;
}

/** The citations of a text that have a wrong form or no target. */
export function findCitations(text: string, known: Known): { line: number; problem: string }[] {
  return text
    .split('\n')
    .flatMap((line, i) => problemsOf(line, known).map((problem) => ({ line: i + 1, problem })));
}

function problemsOf(line: string, { headings, laws, own }: Known): string[] {
  const problems: string[] = [];
  for (const { index } of line.matchAll(/§/g)) {
    const before = line.slice(0, index);
    const cited = /^§([0-9A-Z]+(?:\.\d+)*)(?![–-]\d|\.\d|\w)/.exec(line.slice(index))?.[1];
    const work = /(?:^|[^\w-])(method|paper) $/.exec(before)?.[1] ?? (own ? 'method' : undefined);
    if (cited === undefined || work === undefined)
      problems.push(`"${around(line, index)}" has another form than "method §2.5" or "paper §3.1"`);
    else if (work === 'paper') {
      if (!/^(?:\d|[A-H])(?:\.\d+)*$/.test(cited))
        problems.push(`paper §${cited} is no section of the paper`);
    } else if (!headings.has(cited)) problems.push(`method §${cited} is no heading of docs/method.md`);
  }
  // A citation without the section sign would be missed by a search for the sign.
  for (const { index } of line.matchAll(
    /\b(?:Section|Sec\.|Appendix|App\.) (?:\d|[A-H]\b)|\bhint-method\b|\bmethod document\b/g,
  ))
    problems.push(`"${around(line, index)}" has another form than "method §2.5" or "paper §3.1"`);
  for (const match of line.matchAll(/(\w+ )?\b(laws?) (\d+)\b/gi)) {
    if (match[2] !== 'law' || match[1]?.toLowerCase() === 'design ')
      problems.push(`"${match[0]}" has another form than "law 3"`);
    else if (!laws.has(match[3] as string)) problems.push(`${match[0]}: there is no law ${match[3]}`);
  }
  return problems;
}

function around(line: string, index: number): string {
  return line.slice(Math.max(0, index - 20), index + 20).trim();
}
