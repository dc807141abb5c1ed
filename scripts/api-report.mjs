// Compares what the package exports with test/package/api.txt, a line a member, so that a change of it is seen, and finds members
// without a sentence of their own. Reads the sources as `npm run docs` does, and fails with its warnings too.
//   node scripts/api-report.mjs [--write]
//     --write: takes the exports of today as right
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application } from 'typedoc';
import { apiLines, undocumented } from './api/lines.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const REPORT = join(root, 'test/package/api.txt');
const app = await Application.bootstrapWithPlugins({ options: root });
const project = await app.convert();
if (!project) process.exit(1);
app.validate(project);
let failed = app.logger.hasErrors() || app.logger.hasWarnings();

const api = apiLines(project);
if (process.argv.includes('--write')) {
  writeFileSync(REPORT, `${api.join('\n')}\n`);
  console.log(`${api.length} lines of exports`);
} else {
  const known = readFileSync(REPORT, 'utf8').split('\n').filter(Boolean);
  const next = 'run "node scripts/api-report.mjs --write" if that is meant';
  say(
    api.filter((line) => !known.includes(line)).map((line) => `+ ${line}`),
    `The package exports what test/package/api.txt lacks; ${next}`,
  );
  say(
    known.filter((line) => !api.includes(line)).map((line) => `- ${line}`),
    `The package no longer exports this, which breaks those who use it; ${next}`,
  );
}
say(
  undocumented(project),
  'These exports have no sentence, or one that only repeats the name; say units, range, what is thrown',
);
process.exit(failed ? 1 : 0);

function say(lines, sentence) {
  if (lines.length === 0) return;
  failed = true;
  console.error(`${sentence}:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}
