import type { Command } from 'commander';
import { compareRuns, type RunComparison, type Spread } from '../../../training/runs/compare-runs.js';
import { findRuns, nameOfGroup, namesOfRuns, readRun, type RunRecord } from '../../../training/runs/read-run.js';
import { HintError } from '../../../util/errors.js';
import { action, print, printJson, table } from '../../support/context.js';
import { jsonOption } from '../../support/options.js';

/** `hint runs compare RUN RUN…`. */
export function addRunsCompareCommand(runs: Command): void {
  runs
    .command('compare')
    .summary('say what differs between training runs, in settings and results')
    .description(
      'Shows the settings that differ between runs, and their results. Runs that differ in nothing but their seed are one\n' +
        'column, with mean and standard deviation. A folder stands for the runs in it.',
    )
    .argument('<run...>', 'output directories of "hint train", or folders of them')
    .addOption(jsonOption('the comparison'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint runs compare runs/hint runs/lora\n  $ hint runs compare runs/constant-* runs/cosine-* --json',
    )
    .action(
      action(async (signal, given: string[], options: { json: boolean }) => {
        const paths: string[] = [];
        for (const one of given) paths.push(...(await findRuns(one, signal)));
        const distinct = [...new Set(paths)];
        if (distinct.length < 2)
          throw new HintError(
            'INVALID_ARGUMENT',
            `There ${distinct.length === 1 ? 'is 1 training run' : `are ${distinct.length} training runs`} in ${given.join(', ')}; give at least 2 to compare.`,
          );
        const records: RunRecord[] = [];
        for (const path of distinct) records.push(await readRun(path));
        const comparison = compareRuns(records);
        if (options.json) printJson({ runs: distinct, ...comparison });
        else print(describe(comparison, namesOfRuns(distinct)));
      }),
    );
}

function describe({ groups, settings }: RunComparison, names: readonly string[]): string {
  const columns = groups.map(({ runs }) => nameOfGroup(runs.map((run) => names[run] as string)));
  const results = [...new Set(groups.flatMap((group) => Object.keys(group.results)))];
  return [
    settings.length > 0
      ? table(
          ['setting', ...columns],
          settings.map(({ key, values }) => [
            key,
            ...values.map((value) => (value === undefined ? '' : JSON.stringify(value))),
          ]),
        )
      : 'The runs differ in no setting but their seed.',
    '',
    table(
      ['result', ...columns],
      results.map((name) => [name, ...groups.map((group) => shownSpread(group.results[name]))]),
    ),
    '',
    table(
      ['', ...columns],
      [['seeds', ...groups.map(({ seeds }) => [...seeds].sort((a, b) => a - b).join(', '))]],
    ),
  ].join('\n');
}

function shownSpread(spread: Spread | undefined): string {
  if (!spread) return '';
  const { mean, deviation, count } = spread;
  return deviation === undefined ? shownNumber(mean) : `${shownNumber(mean)} ± ${shownNumber(deviation)} (${count})`;
}

/** Large numbers as whole ones in groups of three digits, others with five digits that count. */
function shownNumber(value: number): string {
  return Math.abs(value) >= 1e4 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(5)));
}
