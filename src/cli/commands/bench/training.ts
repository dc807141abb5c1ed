import { Option, type Command } from 'commander';
import { describeMachine } from '../../../benchmark/machine.js';
import { benchConfig } from '../../../benchmark/random-model.js';
import { profileMarkdown } from '../../../benchmark/profile/profile-table.js';
import { profileTraining } from '../../../benchmark/profile/profile-training.js';
import { measureTraining } from '../../../benchmark/training.js';
import {
  TRAINING_SYSTEMS,
  type TrainingMeasurementOptions,
  type TrainingSystem,
} from '../../../benchmark/training-run.js';
import { trainingMarkdown } from '../../../benchmark/training-report.js';
import { HintError } from '../../../util/errors.js';
import type { FloatDType } from '../../../tensor/ops.js';
import { BACKWARD_PLANS, type BackwardPlan } from '../../../model/memory/backward-plan.js';
import { doneOnce } from '../../../distributed/agreement.js';
import { action, note } from '../../support/context.js';
import { amongRanks } from '../../support/ranks.js';
import { Progress } from '../../support/progress.js';
import { prepareResults, reportPart } from './results.js';
import { oneOf } from '../../support/choices.js';
import { adapterSizeOption, resultsOption, sizeOption } from './options.js';
import { deviceOption, jsonOption, threadsOption, wholeNumber } from '../../support/options.js';

interface TrainingCommandOptions {
  size: string;
  adapterSize: number;
  systems: TrainingSystem[];
  hintPeer?: string;
  batch: number;
  tasks?: number;
  tokenBudget: number;
  computeDtype: FloatDType;
  paramDtype: FloatDType;
  recompute: BackwardPlan;
  peerBatch?: number;
  autocast: boolean;
  profile: boolean;
  rounds: number;
  device: string;
  threads: number;
  output?: string;
  json: boolean;
}

const EXAMPLES_PER_TASK = 2;

/** `hint bench training`: training steps here and elsewhere. */
export function addTrainingCommand(bench: Command): void {
  bench
    .command('training')
    .summary('time training steps beside Hugging Face transformers and PyTorch')
    .description(
      'Times whole training steps (forward, backward, Adafactor on every parameter) of HINT and plain T5 with random weights on batches\n' +
        'of mixed tasks, in turns with plain T5 under Hugging Face transformers and, with --hint-peer, HINT in PyTorch (in the Python\n' +
        'that HINT_PEER_PYTHON names, else python3). Peers that are not installed are left out and named.',
    )
    .addOption(sizeOption('small'))
    .addOption(adapterSizeOption())
    .option('--systems <list>', TRAINING_SYSTEMS.join(', '), oneOf('--systems', TRAINING_SYSTEMS), [
      ...TRAINING_SYSTEMS,
    ])
    .option(
      '--hint-peer <file>',
      'a Python file that builds HINT in PyTorch, with the interface of bench/peers/hint_torch.py',
    )
    .option('--batch <n>', 'examples of one step', wholeNumber('--batch', 1), 16)
    .option(
      '--tasks <n>',
      'different instructions among them (default: half as many)',
      wholeNumber('--tasks', 1),
    )
    .option('--token-budget <n>', 'most tokens of a microbatch', wholeNumber('--token-budget', 1), 16_384)
    .addOption(
      new Option('--compute-dtype <dtype>', 'what the engine computes in, and the roof is measured in')
        .choices(['f32', 'bf16'])
        .default('f32'),
    )
    .addOption(
      new Option('--param-dtype <dtype>', 'what the engine keeps matrices in; bf16 with stochastic rounding')
        .choices(['f32', 'bf16'])
        .default('f32'),
    )
    .addOption(
      new Option('--recompute <what>', "what the engine's backward pass runs again, which is no useful work")
        .choices([...BACKWARD_PLANS])
        .default('none'),
    )
    .option(
      '--peer-batch <n>',
      'examples a peer takes at a time (default: as many as it is fastest with)',
      wholeNumber('--peer-batch', 1),
    )
    .option('--autocast', 'peers multiply in bf16 (default: in what they are fastest with)', false)
    .option('--profile', 'where the time of HINT and plain T5 goes, by phase and op; no peers', false)
    .option('--rounds <n>', 'steps measured of each system', wholeNumber('--rounds', 1), 5)
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(resultsOption())
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ HINT_PEER_PYTHON=~/venv/bin/python hint bench training --systems t5,hf\n' +
        '  $ hint bench training --size base --systems hint,t5 --batch 8 --rounds 3\n' +
        '  $ hint bench training --size xl --device cuda --compute-dtype bf16 --batch 64 --peer-batch 16 --autocast --hint-peer hint_torch.py --output xl.json',
    )
    .action(
      action((signal, options: TrainingCommandOptions) =>
        amongRanks((ranks) => training(options, { signal, ranks })),
      ),
    );
}

async function training(
  given: TrainingCommandOptions,
  { signal, ranks }: Pick<TrainingMeasurementOptions, 'signal' | 'ranks'>,
): Promise<void> {
  const { size, adapterSize, output, json, batch, tasks, autocast, recompute, threads, profile, ...options } =
    given;
  const machine = describeMachine();
  const different = tasks ?? Math.max(1, Math.floor(batch / EXAMPLES_PER_TASK));
  if (different > batch) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `--tasks is ${different}, but a step has ${batch} examples; give at most as many tasks, or a larger --batch.`,
    );
  }
  if (profile && ranks)
    throw new HintError(
      'INVALID_ARGUMENT',
      `--profile is about one process, and ${ranks.size} were started; start it without a launcher.`,
    );
  await doneOnce(ranks, () => prepareResults(output), 'have the results prepared');
  const readsInstruction = options.systems.some((system) => system.startsWith('hint'));
  const progress = new Progress('training');
  const measured: TrainingMeasurementOptions = {
    ...options,
    config: benchConfig(size, readsInstruction ? adapterSize : undefined),
    batchSize: batch,
    tasks: different,
    autocast: autocast ? 'bf16' : undefined,
    // A peer is told a number.
    threads: threads === 0 ? undefined : threads,
    backward: recompute,
    ranks,
    signal,
    note,
    onProgress: (done, total, name) => progress.update(done, total, name),
  };
  if (profile) {
    const part = await profileTraining(measured).finally(() => progress.stop());
    await reportPart('profile', machine, part, { output, json }, () => `\n${profileMarkdown(part)}`);
    return;
  }
  const part = await measureTraining(measured).finally(() => progress.stop());
  const report = (): Promise<void> =>
    reportPart(
      'training',
      machine,
      { size, adapterSize, ...part },
      { output, json },
      () => `\n${trainingMarkdown(part)}`,
    );
  await doneOnce(ranks, report, 'have the results written');
}
