import { join } from 'node:path';
import { writeFileAtomic } from '../util/atomic-file.js';
import { report } from '../util/existing.js';
import { markdownTable } from '../util/markdown.js';
import { shownMarkdown } from '../util/shown.js';
import { makeFolder } from '../util/write-error.js';
import type { Verdict } from './claims.js';
import { madeLine, type Provenance } from './provenance.js';
import type { GridReport } from './report-data.js';

/** A table or figure of the report of all. */
export interface OverviewPart {
  /** As `hint reproduce` knows it. */
  readonly name: string;
  readonly title: string;
  /** How far it is, in a few words. */
  readonly state: string;
  /** Its own report. */
  readonly markdown?: string;
  /** The file of its chart, beside the report. */
  readonly chart?: string;
  readonly report?: GridReport;
}

const TITLE = "The paper's tables and figures";

/** What the report of all may replace. */
export const OVERVIEW = report(TITLE);

/**
 * Writes the one report of everything, all.md, below the output: what is done, what became of every claim, then table after table.
 *
 * @returns the file
 * @throws HintError IO
 */
export async function writeOverview(
  output: string,
  parts: readonly OverviewPart[],
  made: Provenance,
): Promise<string> {
  await makeFolder(output);
  const file = join(output, 'all.md');
  await writeFileAtomic(file, overviewOf(parts, made));
  return file;
}

const VERDICTS: readonly Verdict[] = [
  'holds',
  'within the spread',
  'does not hold',
  'too few seeds',
  'not run',
];

/** The Markdown of {@link writeOverview}. */
export function overviewOf(parts: readonly OverviewPart[], made: Provenance): string {
  const lines = [
    `# ${TITLE}`,
    '',
    madeLine(made),
    '',
    'Every part says below which data, models, steps, instances and seeds it is of. Claims are those that the paper makes; where fewer than three seeds were run, none is judged.',
    '',
    ...markdownTable(
      ['part', 'of', 'state', ...VERDICTS.map((verdict) => `claims: ${verdict}`)],
      parts.map(({ name, title, state, report }) => [
        name,
        title,
        state,
        ...VERDICTS.map((verdict) =>
          report ? report.claims.filter((claim) => claim.verdict === verdict).length : '',
        ),
      ]),
    ),
    ...parts.flatMap(({ name, title, state, markdown, chart }) => [
      '',
      ...(markdown === undefined
        ? [`## ${shownMarkdown(title)}`, '', shownMarkdown(`${name}: ${state}.`)]
        : [lowered(markdown).trimEnd()]),
      ...(chart === undefined ? [] : ['', `![${shownMarkdown(title)}](${chart})`]),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

/** A report as a part of a larger one: its headings a level deeper. */
function lowered(markdown: string): string {
  return markdown.replace(/^#/gm, '##');
}
