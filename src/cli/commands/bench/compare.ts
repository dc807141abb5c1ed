import type { Command } from 'commander';
import {
  benchmarkSeries,
  compareBenchmarks,
  type BenchmarkComparison,
  type BenchmarkSeries,
} from '../../../benchmark/compare.js';
import { HintError } from '../../../util/errors.js';
import { readJson } from '../../../util/read-file.js';
import { shown } from '../../../util/shown.js';
import type { Spread } from '../../../util/statistics.js';
import { action, EXIT, print, printJson, table } from '../../support/context.js';
import { jsonOption } from '../../support/options.js';

interface CompareOptions {
  margin: number;
  fail: boolean;
  json: boolean;
}

/** `hint bench compare A B`: which measurements changed, beyond noise. */
export function addCompareCommand(bench: Command): void {
  bench
    .command('compare')
    .summary('say which measurements of two results files differ beyond noise')
    .description(
      'Compares medians, row by row. A row is faster or slower when its medians are further apart than the margin and the ranges\n' +
        'from the 10th to the 90th percentile do not touch; single figures, which have no range, need three times the margin.\n' +
        'Rows of peers and roofs are controls: when they change, the machine has, not the engine.',
    )
    .argument('<before>', 'a results file of npm run bench')
    .argument('<after>', 'another one')
    .option('--margin <percent>', 'differences up to this are noise', percent, 5)
    .option('--fail', 'exit with 1 when a row that is no control got slower', false)
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint bench compare before.json after.json\n  $ hint bench compare before.json after.json --margin 10 --fail',
    )
    .action(
      action(async (signal, before: string, after: string, options: CompareOptions) => {
        const [earlier, later] = [await readSeries(before, signal), await readSeries(after, signal)];
        const comparison = compareBenchmarks(earlier, later, options.margin / 100);
        if (options.json) printJson(comparison);
        else print(describe(comparison));
        return options.fail && comparison.regressions.length > 0 ? EXIT.failed : EXIT.ok;
      }),
    );
}

async function readSeries(path: string, signal: AbortSignal): Promise<BenchmarkSeries[]> {
  return benchmarkSeries(await readJson(path, 'the benchmark result', signal), path);
}

function percent(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new HintError('INVALID_ARGUMENT', `--margin is "${text}"; give a percentage of at least 0.`);
}

function describe({ rows, margin, onlyBefore, onlyAfter, regressions }: BenchmarkComparison): string {
  const cells = rows.map(({ name, before, after, ratio, verdict, control }) => [
    name,
    spread(before),
    spread(after),
    `${ratio.toFixed(2)}×`,
    verdict + (control ? ' (control)' : ''),
  ]);
  const missing = (names: readonly string[], which: string): string[] =>
    names.length === 0 ? [] : [shown(`Only in the ${which} file: ${names.join('; ')}.`)];
  const tally = (verdict: string): number =>
    rows.filter((row) => row.verdict === verdict && !row.control).length;
  return [
    table(['measurement', 'before (p10–p90)', 'after (p10–p90)', 'after / before', 'verdict'], cells),
    '',
    ...missing(onlyBefore, 'first'),
    ...missing(onlyAfter, 'second'),
    `Beyond a margin of ${(100 * margin).toFixed(1)} % and the noise: ${tally('faster')} faster, ${regressions.length} slower, ${tally('no difference')} without difference; controls not counted.`,
  ].join('\n');
}

function spread({ median, p10, p90, samples }: Spread): string {
  return samples === 1 && p10 === p90 ? time(median) : `${time(median)} (${time(p10)}–${time(p90)})`;
}

function time(seconds: number): string {
  const [size, unit] = ([[1, 's'], [1e-3, 'ms'], [1e-6, 'µs'], [1e-9, 'ns'], [0, 'ps']] as const).find(([bound]) => seconds >= bound) ?? [0, 'ps']; // prettier-ignore
  return `${(seconds / (size || 1e-12)).toPrecision(3)} ${unit}`;
}
