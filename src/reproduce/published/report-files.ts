import { join } from 'node:path';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { checkReplaceable } from '../../util/existing.js';
import { makeFolder } from '../../util/write-error.js';
import { markdownOf } from './markdown.js';
import type { PublishedModel } from './models.js';
import type { PublishedReport } from './report.js';

/**
 * Checks, before anything is downloaded, that the reports can be written without a loss.
 *
 * @throws HintError INVALID_ARGUMENT for a file that is in the way, IO
 */
export async function checkPublishedReport({ name }: PublishedModel, output: string): Promise<void> {
  const { json, markdown } = filesOf(name, output);
  await checkReplaceable(json, {
    name: 'the results of a published model',
    fits: (head) => /^\s*\{\s*"published"\s*:/.test(head),
  });
  await checkReplaceable(markdown, {
    name: 'a report of a published model',
    fits: (head) => /^# [^ /]+\/[^ /]+( \(folder .*\))?, on /.test(head),
  });
}

/**
 * Writes the report of an evaluation into the output: published-NAME.json and published-NAME.md.
 *
 * @returns the files written
 * @throws HintError IO
 */
export async function writePublishedReport(report: PublishedReport, output: string): Promise<string[]> {
  await makeFolder(output);
  const { json, markdown } = filesOf(report.published, output);
  await writeFileAtomic(json, `${JSON.stringify(report, null, 2)}\n`);
  await writeFileAtomic(markdown, markdownOf(report));
  return [json, markdown];
}

function filesOf(name: string, output: string): { json: string; markdown: string } {
  const file = (ending: string): string => join(output, `published-${name}.${ending}`);
  return { json: file('json'), markdown: file('md') };
}
