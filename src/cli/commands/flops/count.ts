import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import { inferencePhases, trainingPhases, type Phase, type TaskLengths } from '../../../accounting/phases.js';
import { backwardPlan } from '../../../model/memory/backward-plan.js';
import { HintError } from '../../../util/errors.js';
import { print, printJson, table } from '../../support/context.js';
import { measuredSplit } from '../../support/measured-lengths.js';
import { chooseModel, type ModelChoice, type ModelChoiceOptions } from '../../support/model-choice.js';

export interface CountOptions extends ModelChoiceOptions {
  instruction?: number;
  input?: number;
  output?: number;
  examples?: number;
  /** A file of statistics. */
  data?: string;
  split?: string;
  tasks: number;
  training: boolean;
  recompute: boolean;
  regenerate: boolean;
  json: boolean;
}

/** `hint flops [model]`: the multiply-adds that the engine executes. */
export async function countFlops(directory: string | undefined, options: CountOptions): Promise<void> {
  const choice = await chooseModel(directory, options);
  const measured =
    options.data === undefined ? SNI_LENGTHS : await measuredLengths(options.data, options.split);
  const { input = measured.input, output = measured.output, examples = measured.examples } = options;
  const lengths = {
    instruction: instructionTokens(choice, options.instruction, measured),
    input,
    output,
    examples,
  };
  const { tasks, training, recompute, regenerate } = options;
  if ((recompute || regenerate) && !training) {
    throw new HintError('INVALID_ARGUMENT', 'Layers and modules run again in training only; add --training.');
  }
  const { phases, flops } = options.training
    ? trainingPhases(choice, { ...lengths, tasks }, backwardPlan({ layers: recompute, modules: regenerate }))
    : inferencePhases(choice, { ...lengths, tasks });
  if (options.json) {
    printJson({
      model: choice.name,
      system: choice.system,
      ...{ ...lengths, tasks, training, recompute, regenerate },
      multiplyAdds: flops / 2,
      flops,
      phases,
    });
    return;
  }
  print(describe(choice, { ...lengths, tasks }, options, phases, flops));
}

/** Median tokens, and inputs of a task. */
interface MedianLengths {
  instruction: number;
  input: number;
  output: number;
  /** Instruction and input as one text, markers included. */
  together: number;
  examples: number;
}

const SNI_LENGTHS: MedianLengths = {
  instruction: PAPER_LENGTHS.sni.def.instruction,
  input: PAPER_LENGTHS.sni.instance,
  output: PAPER_LENGTHS.sni.output,
  together: PAPER_LENGTHS.sni.def.full,
  examples: PAPER_LENGTHS.examples,
};

async function measuredLengths(file: string, wanted: string | undefined): Promise<MedianLengths> {
  const { median, examples } = await measuredSplit(file, wanted);
  const { instruction, input, target: output, together } = median;
  return { instruction, input, output, together, examples };
}

/** A T5 system that reads the instruction itself also reads the markers around it. */
function instructionTokens(
  choice: ModelChoice,
  given: number | undefined,
  { instruction, input, together }: MedianLengths,
): number {
  if (!choice.takesInstruction) return 0;
  return given ?? (choice.instructionInInput ? Math.max(0, together - input) : instruction);
}

const CATEGORIES = [
  'projections',
  'attention',
  'feedForward',
  'adaptations',
  'generators',
  'lmHead',
] as const;

function describe(
  choice: ModelChoice,
  { instruction, input, output, examples, tasks }: TaskLengths,
  { training }: CountOptions,
  phases: readonly Phase[],
  flops: number,
): string {
  const unit = unitOf(Math.max(...phases.map(({ each }) => each.total)));
  const show = (count: number): string => (count === 0 ? '0' : (count / unit.size).toPrecision(4));
  const shown = phases.filter(({ each }) => each.total > 0);
  const rows = shown.map(({ phase, times, each }) => [
    phase,
    ...CATEGORIES.map((category) => show(each[category])),
    show(each.total),
    times,
    `${((200 * times * each.total) / flops).toFixed(1)}%`,
  ]);
  const where = choice.instructionInInput
    ? ' with every input'
    : choice.takesInstruction
      ? ' once a task'
      : '';
  return [
    `${choice.name}, system ${choice.system}: ${training ? 'one training step' : 'inference'} on ${tasks} task${tasks === 1 ? '' : 's'} of ${examples} examples;`,
    `${instruction} tokens of instruction${where}, ${input} of input, ${output} of ${training ? 'target' : 'output'}.`,
    '',
    table(
      [`${unit.name} multiply-adds`, 'q k v o', 'attention', 'feed-forward', 'modules', 'generators', 'LM head', 'each', 'times', 'share'], // prettier-ignore
      rows,
    ),
    '',
    `${count(flops / 2)} multiply-adds, ${count(flops)} FLOPs; ${count(flops / (tasks * examples || 1))} FLOPs an example.`,
  ].join('\n');
}

function unitOf(largest: number): { size: number; name: string } {
  const units = [[1e12, 'tera'], [1e9, 'giga'], [1e6, 'mega'], [1, '']] as const; // prettier-ignore
  const [size, name] = units.find(([bound]) => largest >= bound) ?? [1, ''];
  return { size, name };
}

function count(value: number): string {
  const { size, name } = unitOf(value);
  return `${(value / size).toPrecision(5)} ${name}`.trim();
}
