import { markdownTable } from '../../util/markdown.js';
import { shownMarkdown } from '../../util/shown.js';
import { madeLine } from '../provenance.js';
import { scopeLine } from '../scope.js';
import type { Agreement } from './agreement.js';
import type { PublishedReport } from './report.js';

/** The Markdown of a report: our score beside the printed figures, what differs, and the parts of it. */
export function markdownOf(report: PublishedReport): string {
  const { title, metric, score, scope, made, protocol, parts, agreement } = report;
  const isRanked = metric === 'accuracy';
  const lines = [
    `# ${shownMarkdown(title)}`,
    '',
    shownMarkdown(`${metric} ${score.toFixed(2)}: ${scopeLine(scope)}.`),
    '',
    madeLine(made),
    '',
    shownMarkdown(
      `The model is ${report.repository}${report.commit === undefined ? '' : ` at commit ${report.commit}`}; licence: ${report.licence}.`,
    ),
    shownMarkdown(`Prompt: ${protocol.prompt}. Answer: ${protocol.answer}.`),
    '',
    '## Beside what is printed',
    '',
    ...figureLines(report),
    '',
    '## What differs from the named data',
    '',
    ...differenceLines(report),
    ...(agreement ? ['', ...agreementLines(agreement, metric)] : []),
    ...(report.publishedPredictions === undefined
      ? []
      : [
          '',
          shownMarkdown(
            `Predictions of this model are published (${report.publishedPredictions}); --predictions compares with them, instance by instance.`,
          ),
        ]),
    '',
    isRanked ? '## Data sets' : '## Tasks',
    '',
    ...(isRanked
      ? markdownTable(
          ['data set', 'templates', 'examples', 'accuracy', 'printed'],
          parts.map((one) => [
            one.name,
            one.templates ?? '',
            one.instances,
            one.score.toFixed(1),
            one.printed?.toFixed(1) ?? '',
          ]),
        )
      : markdownTable(
          ['task', 'instances', 'RougeL', 'exact match'],
          parts.map((one) => [
            one.name,
            one.instances,
            one.score.toFixed(2),
            one.exactMatch?.toFixed(2) ?? '',
          ]),
        )),
  ];
  return `${lines.join('\n')}\n`;
}

function figureLines({ figures, metric, score, repository }: PublishedReport): string[] {
  if (figures.length === 0)
    return [shownMarkdown(`Neither the paper nor the release prints a figure of ${repository}.`)];
  const hasSame = figures.some(({ overSame }) => overSame !== undefined);
  return markdownTable(
    [
      'printed where',
      'of',
      `${metric}, printed`,
      ...(hasSame ? ['printed, over the same data sets'] : []),
      'ours',
      'difference',
    ],
    figures.map(({ by, place, weights, printed, overSame, difference }) => [
      `${by}, ${place}`,
      weights === 'these' ? 'these weights' : 'other weights, trained for the same purpose',
      String(printed),
      ...(hasSame ? [overSame?.toFixed(1) ?? ''] : []),
      score.toFixed(2),
      difference === undefined ? 'not comparable' : signed(difference),
    ]),
  );
}

function differenceLines({ differences, namedData }: PublishedReport): string[] {
  if (differences.length === 0)
    return [shownMarkdown(`Nothing by counts: these are as many as ${namedData} have.`)];
  return [
    shownMarkdown(
      `The printed figures are of ${namedData}. Since the following differs, the difference from them is not told:`,
    ),
    '',
    ...differences.map((one) => `- ${shownMarkdown(one)}`),
  ];
}

function agreementLines(agreement: Agreement, metric: string): string[] {
  const { both, equal, onlyOurs, onlyPublished, ourScore, publishedScore, tasks, first } = agreement;
  const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
  return [
    '## Published predictions',
    '',
    `${equal} of ${both} predictions (${percent(equal, both)}) are the published text. On these instances ours score ${metric} ${ourScore.toFixed(2)}, the published ones ${publishedScore.toFixed(2)}. ${onlyOurs} instances have no published prediction; ${onlyPublished} published ones are of other instances.`,
    '',
    ...markdownTable(
      ['task', 'in both', 'equal', 'share'],
      tasks.map((one) => [one.task, one.both, one.equal, percent(one.equal, one.both)]),
    ),
    ...(first.length > 0
      ? [
          '',
          `The first ${first.length} that differ:`,
          '',
          ...markdownTable(
            ['instance', 'ours', 'published'],
            first.map((one) => [one.id, one.ours, one.published]),
          ),
        ]
      : []),
  ];
}

function signed(difference: number): string {
  return `${difference < 0 ? '−' : '+'}${Math.abs(difference).toFixed(2)}`;
}
