import type { Command } from 'commander';
import { describeMachine } from '../../../benchmark/machine.js';
import { benchConfig } from '../../../benchmark/random-model.js';
import { scalingMarkdown } from '../../../benchmark/scaling/scaling-report.js';
import {
  SCALING_SYSTEMS,
  type ScalingPart,
  type ScalingSystem,
} from '../../../benchmark/scaling/scaling-run.js';
import { measureScaling } from '../../../benchmark/scaling/scaling.js';
import { timelineSvg } from '../../../benchmark/scaling/timeline.js';
import { writeFileAtomic } from '../../../util/atomic-file.js';
import { HintError } from '../../../util/errors.js';
import { checkReplaceable, picture } from '../../../util/existing.js';
import { action, note } from '../../support/context.js';
import { oneOf } from '../../support/choices.js';
import { jsonOption, wholeNumber } from '../../support/options.js';
import { Progress } from '../../support/progress.js';
import { adapterSizeOption, resultsOption, sizeOption } from './options.js';
import { prepareResults, reportPart } from './results.js';

interface ScalingCommandOptions {
  size: string;
  adapterSize: number;
  systems: ScalingSystem[];
  ranks: number;
  batch: number;
  tasks?: number;
  tokenBudget: number;
  rounds: number;
  quick: boolean;
  timeline?: string;
  output?: string;
  json: boolean;
}

const EXAMPLES_PER_TASK = 2;
/** A rehearsal, whose times count for nothing. */
const QUICK = { size: 'small', batch: 8, tokenBudget: 256, rounds: 1 } as const;
/** Of DistributedDataParallel, MiB; 25 is its default. */
const BUCKETS = { all: [25, 1, 100], quick: [25] } as const;

/** `hint bench scaling`: what several ranks gain. */
export function addScalingCommand(bench: Command): void {
  bench
    .command('scaling')
    .summary('time training steps of several ranks beside one process and PyTorch DDP')
    .description(
      'Times training steps of HINT and plain T5 by ranks of one thread each under mpirun, in turns with one process, with processes\n' +
        "that do not know of each other, and with plain T5 under PyTorch's DistributedDataParallel (in the Python that HINT_PEER_PYTHON\n" +
        'names, else python3; left out where it is not installed).',
    )
    .addOption(sizeOption('small'))
    .addOption(adapterSizeOption())
    .option('--systems <list>', SCALING_SYSTEMS.join(', '), oneOf('--systems', SCALING_SYSTEMS), [
      ...SCALING_SYSTEMS,
    ])
    .option('--ranks <n>', 'processes that train together', wholeNumber('--ranks', 2, 256), 2)
    .option('--batch <n>', 'examples of one step', wholeNumber('--batch', 1), 16)
    .option(
      '--tasks <n>',
      'different instructions among them (default: half as many)',
      wholeNumber('--tasks', 1),
    )
    .option('--token-budget <n>', 'most tokens of a microbatch', wholeNumber('--token-budget', 1), 1024)
    .option('--rounds <n>', 'steps measured of each', wholeNumber('--rounds', 1), 5)
    .option('--quick', 'a rehearsal in a minute, whose times count for nothing', false)
    .option(
      '--timeline <file>',
      'a picture (SVG) of the last step of the first system; results have its numbers',
    )
    .addOption(resultsOption())
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ HINT_PEER_PYTHON=~/venv/bin/python hint bench scaling\n' +
        '  $ hint bench scaling --systems hint --timeline step.svg --output scaling.json',
    )
    .action(action((signal, options: ScalingCommandOptions) => scaling(options, signal)));
}

async function scaling(given: ScalingCommandOptions, signal: AbortSignal): Promise<void> {
  const { size, adapterSize, batch, tasks, output, json, quick, timeline, ...options } = given.quick
    ? { ...given, ...QUICK }
    : given;
  const different = tasks ?? Math.max(1, Math.floor(batch / EXAMPLES_PER_TASK));
  if (different > batch || options.ranks > batch)
    throw new HintError(
      'INVALID_ARGUMENT',
      `A step of ${batch} examples cannot have ${different} tasks and ${options.ranks} ranks; give a larger --batch.`,
    );
  if (timeline !== undefined) await checkReplaceable(timeline, picture('.svg'));
  await prepareResults(output);
  const isHint = options.systems.includes('hint');
  const progress = new Progress('scaling');
  const part = await measureScaling({
    ...options,
    config: benchConfig(size, isHint ? adapterSize : undefined),
    batchSize: batch,
    tasks: different,
    buckets: BUCKETS[quick ? 'quick' : 'all'],
    signal,
    note,
    onProgress: (done, total, name) => progress.update(done, total, name),
  }).finally(() => progress.stop());
  if (timeline !== undefined) await writeTimeline(timeline, part);
  await reportPart(
    'scaling',
    describeMachine(),
    { size, adapterSize, ...part },
    { output, json },
    () => `\n${scalingMarkdown(part)}`,
  );
}

async function writeTimeline(path: string, { engine, ranks }: ScalingPart): Promise<void> {
  const [first] = engine;
  if (!first) return;
  const title = `A step of ${first.system === 'hint' ? 'HINT' : 'plain T5'} by ${ranks} ranks`;
  await writeFileAtomic(path, timelineSvg(first.timeline, title));
  note(`Written: ${path}`);
}
