import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import type { DataStatistics, SplitStatistics } from '../../../data/statistics.js';
import { table } from '../../support/context.js';

/** What the paper's Tables 7 and 8 say of a dataset. */
interface Published {
  readonly name: string;
  /** Worked examples of the rows with some. */
  readonly shots: number;
  readonly median: Partial<Record<keyof SplitStatistics['median'], number>>;
  readonly tasks: Readonly<Record<string, number>>;
  readonly examples: Readonly<Record<string, number>>;
}

const { sni, p3 } = PAPER_LENGTHS;

const PUBLISHED: Readonly<Record<string, Published>> = {
  sni: {
    name: 'Super-NaturalInstructions',
    shots: 2,
    median: {
      input: sni.instance,
      instruction: sni.def.instruction,
      together: sni.def.full,
      instructionWithShots: sni.twoPositive.instruction,
      togetherWithShots: sni.twoPositive.full,
      target: sni.output,
    },
    tasks: { train: 757, test: 119 },
    examples: { train: 75_417, test: 11_810 },
  },
  p3: {
    name: 'P3',
    shots: 0,
    median: {
      input: p3.instance,
      instruction: p3.prompt.instruction,
      together: p3.prompt.full,
      target: p3.output,
    },
    tasks: { train: 313 },
    examples: { train: 17_277_532 },
  },
};

/** The statistics in the shape of the paper's Tables 7 and 8, with its own figures where it has some of such data. */
export function describeStatistics(statistics: DataStatistics): string {
  const published = PUBLISHED[statistics.kind];
  return [
    `Table 7: median tokens${published ? `, and the paper's of ${published.name}` : ''}`,
    '',
    medians(statistics, published),
    '',
    `Table 8: tasks and examples${published ? ", and the paper's" : ''}`,
    '',
    counts(statistics, published),
  ].join('\n');
}

function medians({ shots, splits }: DataStatistics, published: Published | undefined): string {
  const rows: [string, keyof SplitStatistics['median']][] = [
    ['input', 'input'],
    ['instruction', 'instruction'],
    ['instruction and input as one text', 'together'],
    ...(shots > 0
      ? (
          [
            [`instruction with ${shots} worked examples`, 'instructionWithShots'],
            ['the same and input as one text', 'togetherWithShots'],
          ] as const
        ).map(([name, key]): [string, keyof SplitStatistics['median']] => [name, key])
      : []),
    ['target', 'target'],
  ];
  const ofPaper = (key: keyof SplitStatistics['median']): number | string => {
    const isOther = key.endsWith('WithShots') && published?.shots !== shots;
    return (isOther ? undefined : published?.median[key]) ?? '–';
  };
  return table(
    ['', ...splits.map(({ split }) => split), ...(published ? ['paper'] : [])],
    rows.map(([name, key]) => [
      name,
      ...splits.map(({ median }) => median[key] ?? '–'),
      ...(published ? [ofPaper(key)] : []),
    ]),
  );
}

function counts({ splits }: DataStatistics, published: Published | undefined): string {
  const shown = (count: number | undefined): string => count?.toLocaleString('en') ?? '–';
  const hasCap = splits.some(({ examplesUpToCap }) => examplesUpToCap !== undefined);
  return table(
    [
      'split',
      'tasks',
      ...(published ? ['paper'] : []),
      'examples',
      ...(hasCap ? ['up to the cap'] : []),
      ...(published ? ['paper'] : []),
      'unknown pieces',
    ],
    splits.map(({ split, tasks, examples, examplesUpToCap, tokens, unknown }) => [
      split,
      shown(tasks),
      ...(published ? [shown(published.tasks[split])] : []),
      shown(examples),
      ...(hasCap ? [shown(examplesUpToCap)] : []),
      ...(published ? [shown(published.examples[split])] : []),
      `${tokens === 0 ? 0 : ((100 * unknown) / tokens).toFixed(3)}%`,
    ]),
  );
}
