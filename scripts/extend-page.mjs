// Reads a page of docs/extend as a list of steps. The sentence directly before a block says what to do with it;
// scripts/test-extend.mjs lists these sentences.

/** A text in one or more backticks. */
const TICKED = '(`+)(.+?)';

const FORMS = [
  [new RegExp(`New file ${TICKED}\\1:$`), (m) => ({ kind: 'new', file: m[2] })],
  [
    new RegExp(`In ${TICKED}\\1, (after|before|instead of) the line (\`+)(.+?)\\4:$`),
    (m) => ({ kind: 'edit', file: m[2], where: m[3], anchor: m[5].trim() }),
  ],
  [
    new RegExp(`With nvcc, and without ${TICKED}\\1, this fails with (\`+)(.+?)\\3:$`),
    (m) => ({ kind: 'run', without: m[2], failure: m[4], needsCuda: true }),
  ],
  [
    new RegExp(`Without ${TICKED}\\1, this fails with (\`+)(.+?)\\3:$`),
    (m) => ({ kind: 'run', without: m[2], failure: m[4] }),
  ],
  [new RegExp(`This fails with ${TICKED}\\1:$`), (m) => ({ kind: 'run', failure: m[2] })],
  [/Run, with nvcc:$/, () => ({ kind: 'run', needsCuda: true })],
  [/Run:$/, () => ({ kind: 'run' })],
];

/** A fault of a page, with the place. */
export class PageError extends Error {}

/**
 * @param {string} page its path, for messages
 * @param {string} text
 * @returns {{kind: 'new' | 'edit' | 'run', line: number, body: string}[]} in the order of the page
 */
export function stepsOf(page, text) {
  const lines = text.split('\n');
  const steps = [];
  for (let i = 0; i < lines.length; i++) {
    const fence = /^(`{3,}|~{3,})\s*(\S*)/.exec(lines[i]);
    if (!fence) continue;
    const end = lines.findIndex((line, at) => at > i && line.trimEnd() === fence[1]);
    if (end < 0) throw new PageError(`${page}:${i + 1}: the block is never closed.`);
    const body = `${lines.slice(i + 1, end).join('\n')}\n`;
    const form = formOf(paragraphAbove(lines, i));
    if (form) steps.push({ ...form, line: i + 1, body });
    else if (fence[2] !== 'text')
      throw new PageError(
        `${page}:${i + 1}: the line above the block does not say what to do with it. End it with "New file \`…\`:", ` +
          '"In `…`, after the line `…`:", "Run:" or another form that scripts/test-extend.mjs lists; a block that only shows ' +
          'something is of the language text.',
      );
    i = end;
  }
  return steps;
}

/** The paragraph that ends above a line, as one line. */
function paragraphAbove(lines, at) {
  let last = at - 1;
  while (last >= 0 && lines[last].trim() === '') last--;
  let first = last;
  while (first > 0 && lines[first - 1].trim() !== '') first--;
  return lines
    .slice(Math.max(first, 0), last + 1)
    .map((line) => line.trim())
    .join(' ');
}

function formOf(paragraph) {
  for (const [pattern, make] of FORMS) {
    const match = pattern.exec(paragraph);
    if (match) return make(match);
  }
  return undefined;
}

/**
 * The text of a file after a step.
 *
 * @param {string} page its path, for messages
 * @param {string | undefined} before absent: there is no such file
 */
export function applied(page, { kind, file, where, anchor, body, line }, before) {
  const fail = (what) => {
    throw new PageError(`${page}:${line}: ${what}`);
  };
  if (kind === 'new')
    return before === undefined ? body : fail(`${file} exists already; a new file needs a new name.`);
  if (before === undefined) fail(`there is no file ${file} to insert into.`);
  const lines = before.split('\n');
  const found = lines.flatMap((text, at) => (text.trim() === anchor ? [at] : []));
  if (found.length !== 1)
    fail(`${file} has ${found.length} lines "${anchor}"; name a line that it has exactly once.`);
  const at = found[0] + (where === 'after' ? 1 : 0);
  lines.splice(at, where === 'instead of' ? 1 : 0, ...body.replace(/\n$/, '').split('\n'));
  return lines.join('\n');
}
