import { markdownTable } from '../util/markdown.js';
import { shownMarkdown } from '../util/shown.js';
import type { ClaimOutcome } from './claims.js';
import { PAPER_SIZES } from './paper-size.js';
import { madeLine } from './provenance.js';
import type { GridReport } from './report-data.js';
import type { CellOutcome } from './runner.js';
import { scopeLine } from './scope.js';
import { AVERAGE, type TableFigure } from './summary.js';

/** The Markdown of a report: our figures beside the paper's, its orderings, and cells without a result. */
export function markdownOf(report: GridReport, cells: readonly CellOutcome[]): string {
  const { title, metric, figures, claims, scope, made, view, printed = [] } = report;
  const named = new Set(figures.map(({ model }) => model)).size > 1;
  const chances = cells.flatMap(({ result }) => (result?.chance === undefined ? [] : [result.chance]));
  const without = report.rowsWithout;
  const hasPrinted = printed.length > 0 || figures.some(({ paper }) => Object.keys(paper).length > 0);
  const missing = cells.filter(({ status }) => status !== 'done');
  const beside = [
    ...(hasPrinted ? [BESIDE] : []),
    ...(chances[0] === undefined ? [] : [`Guessing gives ${chances[0].toFixed(1)}.`]),
  ];
  const lines = [
    `# ${shownMarkdown(title)}`,
    '',
    shownMarkdown(
      `${metric === 'accuracy' ? 'Accuracy' : metric} on unseen tasks of ${scope.data}: ${scopeLine(scope)}. Means over seeds, lowest to highest where there are several.`,
    ),
    '',
    madeLine(made),
    '',
    ...(beside.length > 0 ? [...beside, ''] : []),
    ...(view === 'datasets' || view === 'prompts'
      ? datasetTable(report, named)
      : settingTable(report, named)),
    ...(figures.some(({ than }) => than) ? ['', SPREAD] : []),
    ...(view === 'prompts' ? ['', ...promptTable(report, named)] : []),
    ...chosenLines(cells),
    '',
    ...(without.length > 0 ? [`Left out for want of a starting model: ${without.join(', ')}.`, ''] : []),
    ...(claims.length > 0 ? claimSection(claims, named) : []),
    ...(missing.length > 0
      ? [
          '',
          '## Cells without a result',
          '',
          ...missing.map((one) => `- ${shownMarkdown(describeMissing(one))}`),
        ]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

const BESIDE =
  "The paper's figures are of its own data, models and steps; they stand beside these for their order, not as a target.";

const SPREAD =
  'Differences are means over the seeds, with half of their 95 % confidence interval (Student). One whose interval of at least three seeds has 0 is within the spread.';

/** A figure a line, the paper's beside it. */
function settingTable({ metric, figures }: GridReport, named: boolean): string[] {
  const withFlops = figures.some(({ flopsPer100 }) => flopsPer100 !== undefined);
  const sizes = PAPER_SIZES.filter((size) => figures.some(({ paper }) => paper[size] !== undefined));
  const than = figures.find((figure) => figure.than)?.than?.row;
  return markdownTable(
    [
      'system',
      'setting',
      ...(named ? ['model'] : []),
      `${metric}, ours`,
      'seeds',
      ...(than === undefined ? [] : [`than ${than}`]),
      ...(withFlops ? ['GFLOP per 100 examples'] : []),
      ...sizes.map((size) => `paper ${size}`),
    ],
    figures.map((figure) => [
      figure.row,
      figure.column,
      ...(named ? [figure.model] : []),
      scoreText(figure),
      String(figure.seeds.length),
      ...(than === undefined ? [] : [differenceText(figure)]),
      ...(withFlops ? [figure.flopsPer100 === undefined ? '' : gigaFlops(figure.flopsPer100)] : []),
      ...sizes.map((size) => figure.paper[size]?.toFixed(1) ?? ''),
    ]),
  );
}

/** A system a line, a data set a column; below it, what the paper prints of it. */
function datasetTable({ figures, printed = [] }: GridReport, named: boolean): string[] {
  const columns = [...new Set(figures.map(({ column }) => column))];
  const than = figures.find((figure) => figure.than)?.than?.row;
  const systems = [...new Set(figures.map(({ row, model }) => JSON.stringify([row, model])))];
  const lines = systems.flatMap((system) => {
    const own = figures.filter(({ row, model }) => JSON.stringify([row, model]) === system);
    const of = (column: string): TableFigure | undefined => own.find((one) => one.column === column);
    const [{ row, model } = { row: '', model: '' }] = own;
    const average = of(AVERAGE);
    const sizes = PAPER_SIZES.filter((size) => own.some(({ paper }) => paper[size] !== undefined));
    return [
      [
        row,
        named ? `here, ${model}` : 'here',
        ...columns.map((column) => scoreText(of(column) as TableFigure)),
        ...(than === undefined ? [] : [average ? differenceText(average) : '']),
      ],
      ...sizes.map((size) => [
        row,
        `paper, ${size}`,
        ...columns.map((column) => of(column)?.paper[size]?.toFixed(1) ?? ''),
        ...(than === undefined ? [] : ['']),
      ]),
    ];
  });
  const others = printed.map(({ row, size, score, datasets }) => [
    row,
    `paper, ${size}`,
    ...columns.map((column) => (column === AVERAGE ? score : datasets[column])?.toFixed(1) ?? ''),
    ...(than === undefined ? [] : ['']),
  ]);
  return markdownTable(
    ['system', 'accuracy', ...columns, ...(than === undefined ? [] : [`average than ${than}`])],
    [...lines, ...others],
  );
}

/** A prompt a line. */
function promptTable({ prompts = [] }: GridReport, named: boolean): string[] {
  return markdownTable(
    ['data set', 'prompt', ...(named ? ['model'] : []), 'accuracy, ours', 'seeds'],
    prompts.map(({ dataset, template, model, accuracy, seeds }) => [
      dataset,
      template,
      ...(named ? [model] : []),
      accuracy.toFixed(1),
      String(seeds),
    ]),
  );
}

/** What searches settled on. */
function chosenLines(cells: readonly CellOutcome[]): string[] {
  const lines = cells.flatMap(({ cell, seed, result }) => {
    if (!result?.chosen) return [];
    const { settings, steps, metric, score, of } = result.chosen;
    const values = Object.entries(settings).map(([key, value]) => `${key} ${String(value)}`);
    return [
      `- ${shownMarkdown(`${cell.row}, ${cell.column}, seed ${seed}: ${values.join(', ')} (${steps.toLocaleString('en')} steps), the best of ${of} by validation (${metric} ${score.toFixed(1)}).`)}`,
    ];
  });
  return lines.length > 0 ? ['', ...lines] : [];
}

function differenceText({ than }: TableFigure): string {
  if (!than) return '';
  const { mean, halfWidth, verdict } = than;
  const value = `${mean < 0 ? '−' : '+'}${Math.abs(mean).toFixed(1)}`;
  const spread = halfWidth === undefined ? '' : ` ± ${halfWidth.toFixed(1)}`;
  return `${value}${spread}${verdict === 'within the spread' || verdict === 'too few seeds' ? `, ${verdict}` : ''}`;
}

function claimSection(claims: readonly ClaimOutcome[], named: boolean): string[] {
  return [
    '## What the paper says',
    '',
    'A claim holds, or does not, where the 95 % confidence interval of the mean over at least three seeds says so; an interval with both is within the spread.',
    '',
    ...markdownTable(
      ['claim', 'where', ...(named ? ['model'] : []), 'here', 'measured', 'to be', 'seeds for it'],
      claims.map((claim) => [
        claim.says,
        claim.where,
        ...(named ? [claim.model ?? 'all'] : []),
        claim.verdict,
        measuredText(claim),
        limitText(claim),
        `${claim.seedsFor} of ${claim.seeds}`,
      ]),
    ),
  ];
}

function measuredText({ value, halfWidth, unit }: ClaimOutcome): string {
  if (value === undefined) return '';
  const spread = halfWidth === undefined ? '' : ` ± ${halfWidth.toFixed(1)}`;
  return withMinus(`${value.toFixed(1)}${spread} ${unit}`);
}

function limitText({ kind, limit, unit }: ClaimOutcome): string {
  return withMinus(`${kind === 'near' || kind === 'cost' ? 'at most' : 'more than'} ${limit} ${unit}`);
}

/** A number below zero as the tables have it. */
function withMinus(text: string): string {
  return text.replace('-', '−');
}

function scoreText({ score, low, high, seeds }: TableFigure): string {
  if (score === undefined) return '';
  const range = seeds.length > 1 ? ` (${low?.toFixed(1)} to ${high?.toFixed(1)})` : '';
  return `${score.toFixed(1)}${range}`;
}

function gigaFlops(flops: number): string {
  return (flops / 1e9).toPrecision(3);
}

function describeMissing({ cell, model, seed, status, error }: CellOutcome): string {
  const what = `${cell.row}, ${cell.column}, ${model}, seed ${seed}`;
  return status === 'failed' ? `${what}: failed, ${error?.message ?? ''}` : `${what}: not done yet`;
}
