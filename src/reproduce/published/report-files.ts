import { join } from 'node:path';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { checkReplaceable, picture } from '../../util/existing.js';
import { replaceCharts } from '../../util/plot/png.js';
import { makeFolder } from '../../util/write-error.js';
import { chartOf } from './chart.js';
import { markdownOf } from './markdown.js';
import type { PublishedModel } from './models.js';
import type { PublishedReport } from './report.js';

/**
 * Checks, before anything is downloaded, that the reports can be written without a loss.
 *
 * @throws HintError INVALID_ARGUMENT for a file that is in the way, IO
 */
export async function checkPublishedReport({ name }: PublishedModel, output: string): Promise<void> {
  const { json, markdown, charts } = filesOf(name, output);
  await checkReplaceable(json, {
    name: 'the results of a published model',
    fits: (head) => /^\s*\{\s*"published"\s*:/.test(head),
  });
  await checkReplaceable(markdown, {
    name: 'a report of a published model',
    fits: (head) => /^# [^ /]+\/[^ /]+( \(folder .*\))?, on /.test(head),
  });
  for (const path of charts) await checkReplaceable(path, picture(path));
}

/**
 * Writes the report of an evaluation into the output: published-NAME.json and .md, and of P3 .svg and .png.
 *
 * @returns the files written
 * @throws HintError IO
 */
export async function writePublishedReport(report: PublishedReport, output: string): Promise<string[]> {
  await makeFolder(output);
  const { json, markdown, charts } = filesOf(report.published, output);
  await writeFileAtomic(json, `${JSON.stringify(report, null, 2)}\n`);
  await writeFileAtomic(markdown, markdownOf(report));
  return [json, markdown, ...(await replaceCharts(charts, chartOf(report)))];
}

function filesOf(
  name: string,
  output: string,
): { json: string; markdown: string; charts: readonly string[] } {
  const file = (ending: string): string => join(output, `published-${name}.${ending}`);
  return { json: file('json'), markdown: file('md'), charts: [file('svg'), file('png')] };
}
