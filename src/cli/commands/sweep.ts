import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { applyOverrides } from '../../training/config/overrides.js';
import type { Spread } from '../../training/runs/compare-runs.js';
import {
  planSweep,
  runSweep,
  type RunSweepOptions,
  type SweepAxis,
  type SweepEvent,
  type SweepPlan,
  type SweepResult,
} from '../../training/runs/sweep.js';
import { HintError } from '../../util/errors.js';
import { checkReplaceable } from '../../util/existing.js';
import { readJson } from '../../util/read-file.js';
import { action, EXIT, note, print, printJson, table } from '../support/context.js';
import { amongRanks } from '../support/ranks.js';
import { collect, jsonOption, wholeNumber } from '../support/options.js';
import { reporter } from '../support/run-settings.js';

interface SweepOptions {
  grid: string[];
  seeds: number;
  output?: string;
  set: string[];
  json: boolean;
}

/** `hint sweep CONFIG --grid KEY=A,B`: runs of every combination, ranked. */
export function addSweepCommand(program: Command): void {
  program
    .command('sweep')
    .summary('train every combination of some settings under several seeds, and rank them')
    .description(
      'Trains one run after the other and ranks the combinations by the best validation (without validation, by the\n' +
        'training loss at the end), the mean over their seeds. The same command goes on where an earlier one was stopped.',
    )
    .argument('<config>', 'settings of a run as JSON, as for "hint train --config"')
    .option('--grid <key=values>', 'a setting and its values, separated by commas; repeatable', collect, [])
    .option(
      '--seeds <n>',
      'runs of each combination, from the seed of the settings on',
      wholeNumber('--seeds', 1),
      1,
    )
    .option(
      '--output <directory>',
      'where the runs and sweep.json are written; default: output of the settings',
    )
    .option('--set <key=value>', 'any setting of every run, repeatable', collect, [])
    .addOption(jsonOption('the ranking'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint sweep hint.json --grid learningRate=1e-3,3e-3 --grid schedule=constant,cosine --seeds 3 --output runs/sweep\n' +
        '  $ hint sweep hint.json --grid model.hint.adapterSize=16,64 --set validation.fraction=0.1 --set validation.metric=loss',
    )
    .action(
      action((signal, file: string, options: SweepOptions) =>
        amongRanks((ranks) => sweep(file, options, { signal, ranks })),
      ),
    );
}

async function sweep(
  file: string,
  options: SweepOptions,
  { signal, ranks }: Pick<RunSweepOptions, 'signal' | 'ranks'>,
): Promise<number> {
  const config = applyOverrides(await readJson(file, 'the settings'), options.set);
  const named = options.output ?? (config as { output?: unknown } | null)?.output;
  if (typeof named !== 'string')
    throw new HintError('INVALID_ARGUMENT', 'Nothing says where the runs are written; give --output.');
  const axes = options.grid.map(parseAxis);
  const plan = planSweep({ config, axes, seeds: options.seeds, output: named, source: file });
  await checkReplaceable(join(plan.output, 'sweep.json'), {
    name: 'the ranking of a sweep',
    fits: (head) => /^\s*\{\s*"version"\s*:\s*1,\s*"metric"/.test(head),
  });
  const result = await runSweep(plan, { signal, ranks, onEvent: narrate(options.json) });
  if (options.json) printJson(result);
  else print(describe(plan, result));
  if (result.interrupted) {
    note('Stopped; the same command goes on from here.');
    return EXIT.interrupted;
  }
  const failed = result.ranking.some(({ runs }) => runs.some(({ status }) => status === 'failed'));
  return failed ? EXIT.failed : EXIT.ok;
}

/**
 * A setting and its values: JSON values between commas, and text where they are none.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function parseAxis(text: string): SweepAxis {
  const [, key = '', list = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (key.trim() === '')
    throw new HintError(
      'INVALID_ARGUMENT',
      `--grid is ${JSON.stringify(text)}; write a setting and its values, such as learningRate=1e-3,3e-3.`,
    );
  return { key: key.trim(), values: valuesOf(list) };
}

function valuesOf(list: string): unknown[] {
  const parsed = jsonOf(`[${list}]`);
  if (Array.isArray(parsed)) return parsed;
  return list.split(',').map((word) => jsonOf(word) ?? word.trim());
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function narrate(quiet: boolean): (event: SweepEvent) => void {
  if (quiet) return () => undefined;
  const training = reporter(false, 'training');
  return (event) => {
    if (event.kind === 'training') {
      training(event.event);
      return;
    }
    const { state, index, total, name, score, error } = event;
    const outcome = {
      started: '',
      skipped: `: ${score?.toFixed(4) ?? 'no score'}, done before`,
      finished: `: ${score?.toFixed(4) ?? 'no score'}`,
      failed: `: failed. ${error instanceof Error ? error.message : String(error)}`,
    }[state];
    note(`[${index}/${total}] ${name}${outcome}`);
  };
}

function describe({ output, points }: SweepPlan, { metric, ranking }: SweepResult): string {
  const keys = Object.keys(points[0] ?? {});
  const [best] = ranking;
  const place =
    best?.score === undefined ? '' : `The runs of the best are in ${dirname(best.runs[0]?.path ?? output)}; `;
  const ranked = table(
    ['rank', ...keys, metric, 'done', 'failed'],
    ranking.map(({ rank, settings, score, runs }) => [
      rank ?? '-',
      ...keys.map((key) => shownValue(settings[key])),
      shownSpread(score),
      runs.filter(({ status }) => status === 'done').length,
      runs.filter(({ status }) => status === 'failed').length,
    ]),
  );
  return `${ranked}\n${place}${place === '' ? 'The' : 'the'} ranking is in ${join(output, 'sweep.json')}.`;
}

function shownValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function shownSpread(score: Spread | undefined): string {
  if (!score) return '';
  const { mean, deviation } = score;
  return deviation === undefined ? mean.toFixed(4) : `${mean.toFixed(4)} ± ${deviation.toFixed(4)}`;
}
