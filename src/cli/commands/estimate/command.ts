import { Option, type Command } from 'commander';
import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import {
  microbatchOf,
  smallerBudgets,
  trainingMemory,
  type TrainingMemory,
} from '../../../accounting/training-memory.js';
import { estimateStep } from '../../../benchmark/estimate/estimate.js';
import { measureRoofs } from '../../../benchmark/estimate/measured-roofs.js';
import { measureStep } from '../../../benchmark/estimate/measured-step.js';
import { gpuNetwork } from '../../../benchmark/estimate/network.js';
import { estimateRanks } from '../../../benchmark/estimate/ranks-estimate.js';
import { ROOFS, type Roofs } from '../../../benchmark/estimate/roofs.js';
import type { StepBatch } from '../../../benchmark/estimate/step-trace.js';
import type { StepSettings } from '../../../benchmark/training-steps.js';
import { BACKWARD_PLANS, type BackwardPlan } from '../../../model/memory/backward-plan.js';
import type { FloatDType } from '../../../tensor/ops.js';
import { formatBytes } from '../../../util/bytes.js';
import { HintError } from '../../../util/errors.js';
import { shown } from '../../../util/shown.js';
import { action, print, printJson } from '../../support/context.js';
import {
  addModelChoice,
  chooseModel,
  type ModelChoice,
  type ModelChoiceOptions,
} from '../../support/model-choice.js';
import { jsonOption, threadsOption, wholeNumber } from '../../support/options.js';
import { readReport } from './read-report.js';
import { describeEstimate, PAPER_BATCH } from './report.js';

interface EstimateOptions extends ModelChoiceOptions {
  device: string;
  examples: number;
  tasks?: number;
  instruction: number;
  input: number;
  output: number;
  tokenBudget: number;
  recompute: BackwardPlan | 'auto';
  computeDtype?: FloatDType;
  threads: number;
  measure: boolean;
  paramDtype: FloatDType;
  compare?: string;
  ranks: number;
  network: number;
  perHost: number;
  json: boolean;
}

/** That Super-NaturalInstructions has for training. */
const PAPER_TASKS = 757;
const MOST_EXAMPLES = 1 << 20;
/** A quarter of a gigabyte of ids. */
const MOST_TOKENS = 1 << 26;
/** Of a GPU's memory, as training takes it. */
const SHARE_OF_GPU = 0.9;
const { sni } = PAPER_LENGTHS;

/** `hint estimate`: what a training step would take on a GPU. */
export function addEstimateCommand(program: Command): void {
  const command = program
    .command('estimate')
    .summary('what a training step would take on a GPU, op by op, without one')
    .description(
      'Runs a training step (forward, backward, the update of every parameter) on a device that computes nothing and counts what it is\n' +
        'asked to do; then sets every call under the roof of its products or its memory traffic, and adds the launches of its kernels.\n' +
        'Without options: a batch of the paper on Super-NaturalInstructions, with the medians of its lengths.',
    );
  addModelChoice(command)
    .addOption(
      new Option('--device <name>', "whose roofs; those of this machine's cpu are measured first")
        .choices([...Object.keys(ROOFS), 'cpu'])
        .default('h200'),
    )
    .addOption(threadsOption())
    .option('--measure', 'with --device cpu: take the step, too, and say how far off the estimate is', false)
    .option('--examples <n>', 'of a step', wholeNumber('--examples', 1), PAPER_BATCH)
    .option(
      '--tasks <n>',
      `different instructions among them (default: as many as so many draws from ${PAPER_TASKS} tasks have)`,
      wholeNumber('--tasks', 1),
    )
    .option('--instruction <tokens>', 'of a task', wholeNumber('--instruction', 1), sni.def.instruction)
    .option('--input <tokens>', 'of an example', wholeNumber('--input', 1), sni.instance)
    .option('--output <tokens>', 'of an example', wholeNumber('--output', 1), sni.output)
    .option('--token-budget <n>', 'most tokens of a microbatch', wholeNumber('--token-budget', 1), 16_384)
    .addOption(
      new Option('--recompute <what>', 'what the backward pass runs again; auto: what training would choose')
        .choices([...BACKWARD_PLANS, 'auto'])
        .default('auto'),
    )
    .addOption(
      new Option('--compute-dtype <dtype>', 'what is computed in (default: bf16, f32 on the CPU)').choices([
        'f32',
        'bf16',
      ]),
    )
    .addOption(
      new Option('--param-dtype <dtype>', 'what matrices are kept in')
        .choices(['f32', 'bf16'])
        .default('f32'),
    )
    .option(
      '--ranks <n>',
      'devices that share the step, a process each',
      wholeNumber('--ranks', 1, 65_536),
      1,
    )
    .option(
      '--network <rate>',
      "of each device's card between hosts, such as 400Gb/s or 50GB/s",
      networkRate,
      50e9,
    )
    .option('--per-host <n>', 'devices of a host, connected by NVLink', wholeNumber('--per-host', 1, 1024), 8)
    .option('--compare <file>', 'what --json printed before: its seconds stand beside')
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint estimate --size xl\n  $ hint estimate --size xxl --param-dtype bf16 --json\n  $ hint estimate --size xl --system tk-instruct --instruction 197\n  $ hint estimate --size xxl --param-dtype bf16 --ranks 64 --network 400Gb/s',
    )
    .action(
      action(async (signal, directory: string | undefined, options: EstimateOptions) => {
        const choice = await chooseModel(directory, options);
        const before = options.compare === undefined ? undefined : await readReport(options.compare, signal);
        if (options.measure && options.device !== 'cpu')
          throw new HintError(
            'INVALID_ARGUMENT',
            `--measure takes the step on this machine's CPU, and the estimate is for ${options.device}; give --device cpu, or measure with "hint bench training --device cuda".`,
          );
        const roofs = ROOFS[options.device] ?? (await measureRoofs(options.threads, signal));
        const { batch, settings } = stepOf(choice, options, roofs);
        const { name: model, system } = choice;
        const estimate = await estimateStep(choice.config, batch, settings, roofs, signal);
        const measuredSeconds = options.measure
          ? await measureStep(choice.config, batch, settings, { threads: options.threads, signal })
          : undefined;
        const { ranks } = options;
        const network = gpuNetwork(options.network, options.perHost);
        const shared =
          ranks > 1 &&
          (await estimateRanks(choice.config, { batch, settings, roofs, ranks, network }, estimate, signal));
        const report = {
          model,
          system,
          device: roofs,
          batch,
          settings,
          ...estimate,
          ...(measuredSeconds && { measuredSeconds }),
          ...(shared && { shared }),
        };
        if (options.json) printJson(report);
        else print(describeEstimate(report, before));
      }),
    );
}

function stepOf(
  choice: ModelChoice,
  options: EstimateOptions,
  roofs: Roofs,
): { batch: StepBatch; settings: StepSettings } {
  const { examples, paramDtype, recompute } = options;
  const computeDtype = options.computeDtype ?? (options.device === 'cpu' ? 'f32' : 'bf16');
  const tasks = options.tasks ?? differentTasks(examples);
  if (tasks > examples || examples > MOST_EXAMPLES)
    throw new HintError(
      'INVALID_ARGUMENT',
      `A step of ${examples} examples of ${tasks} tasks cannot be counted; give at most ${MOST_EXAMPLES} examples and no more tasks than examples.`,
    );
  if (options.ranks > tasks || (options.ranks > 1 && options.device === 'cpu'))
    throw new HintError(
      'INVALID_ARGUMENT',
      `${options.ranks} ranks cannot share a step of ${tasks} tasks on ${options.device}; give at most as many ranks as tasks, and a GPU with --device.`,
    );
  const tokens = examples * (options.input + options.output + options.instruction);
  if (tokens > MOST_TOKENS)
    throw new HintError(
      'INVALID_ARGUMENT',
      `A step of ${examples} examples with ${options.instruction}, ${options.input} and ${options.output} tokens has up to ${tokens} tokens; at most ${MOST_TOKENS} are counted. Give fewer or shorter ones.`,
    );
  const instruction = choice.takesInstruction ? options.instruction : 0;
  const read = choice.instructionInInput ? instruction : 0;
  const batch = {
    ...{ examples, tasks },
    instruction: instruction - read,
    input: options.input + read,
    output: options.output,
  };
  const plan =
    recompute === 'auto'
      ? chosenPlan(choice, batch, { ...options, computeDtype }, roofs)
      : { backward: recompute, tokenBudget: options.tokenBudget };
  return { batch, settings: { computeDtype, paramDtype, ...plan } };
}

/** Bytes a second. @throws HintError INVALID_ARGUMENT */
function networkRate(text: string): number {
  const [, digits, prefix, unit] = /^(\d+(?:\.\d+)?)\s*([MGT])(b|B)(?:it)?\/s$/.exec(text) ?? [];
  const rate = Number(digits) * { M: 1e6, G: 1e9, T: 1e12 }[prefix as 'M' | 'G' | 'T'];
  if (rate > 0 && Number.isFinite(rate)) return unit === 'b' ? rate / 8 : rate;
  throw new HintError(
    'INVALID_ARGUMENT',
    `--network is ${shown(text)}; give bits or bytes a second, such as 400Gb/s or 50GB/s.`,
  );
}

/** Expected number of different tasks among so many that are drawn. */
function differentTasks(examples: number): number {
  return Math.round(PAPER_TASKS * (1 - (1 - 1 / PAPER_TASKS) ** examples));
}

/** What training would keep, and the microbatches that it would make. */
function chosenPlan(
  choice: ModelChoice,
  { examples, tasks }: StepBatch,
  options: EstimateOptions & { computeDtype: FloatDType },
  roofs: Roofs,
): Pick<StepSettings, 'backward' | 'tokenBudget'> {
  const { computeDtype, paramDtype } = options;
  const budget = Math.floor(SHARE_OF_GPU * roofs.capacity);
  const memoryFor = (tokenBudget: number): TrainingMemory => {
    const lengths = { ...options, tokenBudget, examples: examples / tasks };
    const most = microbatchOf(choice, { ...lengths, tasks: undefined });
    const batch = most.tasks > tasks ? microbatchOf(choice, { ...lengths, tasks }) : most;
    return trainingMemory(choice.config, {
      ...{ weights: paramDtype, compute: computeDtype, batch, budget, optimizer: 'adafactor' },
      isTrained: () => true,
      ranks: options.ranks,
    });
  };
  const { chosen, modes } = memoryFor(options.tokenBudget);
  const smaller = smallerBudgets(options.tokenBudget).find((tokens) => memoryFor(tokens).chosen === 'none');
  if (chosen !== 'none' && smaller !== undefined) return { backward: 'none', tokenBudget: smaller };
  if (chosen) return { backward: chosen, tokenBudget: options.tokenBudget };
  const least = Math.min(...modes.map(({ required }) => required));
  throw new HintError(
    'OUT_OF_MEMORY',
    `A step needs ${formatBytes(least)} with everything run again that can be; ${roofs.name} has room for ${formatBytes(budget)}. Choose --param-dtype bf16 or a smaller --token-budget.`,
  );
}
