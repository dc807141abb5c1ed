import { Option, type Command } from 'commander';
import { memoryReport, type MemoryReport } from '../../../accounting/memory.js';
import { PAPER_LENGTHS } from '../../../accounting/paper-tables.js';
import { engineWeights, heldHere } from '../../../accounting/weight-memory.js';
import { HintError } from '../../../util/errors.js';
import { slotCount } from '../../../model/modules/slots.js';
import { PUBLISHED_SIZES } from '../../../model/config/sizes.js';
import { action, print, printJson, table } from '../../support/context.js';
import { printTrainingMemory, type TrainingMemoryOptions } from './training.js';
import {
  addModelChoice,
  chooseModel,
  type ModelChoice,
  type ModelChoiceOptions,
} from '../../support/model-choice.js';
import type { WeightDType } from '../../../tensor/ops.js';
import { jsonOption, wholeNumber } from '../../support/options.js';

interface MemoryOptions extends ModelChoiceOptions, TrainingMemoryOptions {
  dtype: WeightDType;
  training: boolean;
}

/** Tokens of a compiled task's instruction: definition and two examples. */
const COMPILED = PAPER_LENGTHS.sni.twoPositive.instruction;
const DTYPES = ['f32', 'bf16', 'int8'] as const;

/** `hint memory`: what a compiled task takes, against caches of decoder-only models. */
export function addMemoryCommand(program: Command): void {
  const command = program
    .command('memory')
    .summary('what a compiled task takes, by the paper and as held, against decoder-only caches')
    .description(
      'The formula of paper §C.2 beside what the engine holds for a compiled task, and the instruction length from which either\n' +
        'takes less than the key/value cache of a decoder-only model of the same width; and the weights of an engine as this\n' +
        'machine holds them. Without a model: every published size.\n' +
        'With --training: what training a model takes, by what it is held in and what runs again in backward passes.',
    );
  addModelChoice(command)
    .option(
      '--instruction <tokens>',
      `tokens of the instruction (default: ${COMPILED}, or ${PAPER_LENGTHS.sni.def.instruction} with --training)`,
      wholeNumber('--instruction'),
    )
    .addOption(
      new Option('--dtype <name>', 'what the engine is opened with, on the CPU')
        .choices(DTYPES)
        .default('f32'),
    )
    .option('--training', 'what training takes instead', false)
    .option('--budget <bytes>', 'with --training: what there is, such as 139GiB (default: of this machine)')
    .option(
      '--token-budget <tokens>',
      'with --training: of a microbatch (tokenBudget)',
      wholeNumber('--token-budget'),
      16384,
    )
    .option(
      '--tasks <n>',
      'with --training: distinct tasks of a microbatch (default: as many as have room)',
      wholeNumber('--tasks'),
    )
    .option('--examples <n>', 'with --training: examples of each task', wholeNumber('--examples'), 1)
    .option('--input <tokens>', 'with --training', wholeNumber('--input'), PAPER_LENGTHS.sni.instance)
    .option('--output <tokens>', 'with --training', wholeNumber('--output'), PAPER_LENGTHS.sni.output)
    .addOption(
      new Option('--optimizer <name>', 'with --training')
        .choices(['adafactor', 'adamw'])
        .default('adafactor'),
    )
    .option(
      '--ranks <n>',
      'with --training: processes that train together',
      wholeNumber('--ranks', 1, 65_536),
      1,
    )
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint memory\n  $ hint memory --size xl --instruction 1024\n  $ hint memory --size xl --dtype int8\n  $ hint memory runs/hint/model --json\n  $ hint memory --size xxl --training --budget 139GiB\n  $ hint memory --size xl --training --system tk-instruct --token-budget 65536\n  $ hint memory --size xxl --training --ranks 8 --optimizer adamw',
    )
    .action(
      action(async (_signal, model: string | undefined, options: MemoryOptions) => {
        if (options.training) {
          printTrainingMemory(await chooseModel(model, options), options);
          return;
        }
        const instruction = options.instruction ?? COMPILED;
        const sizes = model === undefined && options.size === undefined ? PUBLISHED_SIZES : [options.size];
        const reports = await Promise.all(
          sizes.map(async (size) => {
            const choice = await chooseModel(model, { ...options, ...(size === undefined ? {} : { size }) });
            if (!choice.config.hint) {
              throw new HintError(
                'INVALID_ARGUMENT',
                `${choice.name} with the system ${choice.system} compiles nothing; choose --system hint or a model with a hypernetwork.`,
              );
            }
            return { choice, report: memoryReport(choice.config, instruction, options.dtype, heldHere()) };
          }),
        );
        if (options.json) {
          printJson(
            reports.map(({ choice, report }) => ({
              ...{ model: choice.name, system: choice.system, dtype: options.dtype },
              ...{ hint: choice.config.hint, prefixSites: slotCount(choice.config) },
              ...report,
              weights: engineWeights(choice.config),
            })),
          );
        } else print(describe(reports, instruction, options));
      }),
    );
}

function describe(
  reports: readonly { choice: ModelChoice; report: MemoryReport }[],
  instruction: number,
  { dtype }: MemoryOptions,
): string {
  const tokens = (crossover: number | null): string => (crossover === null ? 'never' : String(crossover));
  const rows = reports.flatMap(({ choice, report }) => [
    ...report.rows.map(({ name, bytes, crossover }) => [
      choice.name,
      name,
      mebibytes(bytes),
      tokens(crossover.oneStack),
      tokens(crossover.bothStacks),
    ]),
    [choice.name, 'decoder-only cache, layers of one stack', mebibytes(report.decoderOnly.oneStack), '', ''],
    [choice.name, 'decoder-only cache, layers of both', mebibytes(report.decoderOnly.bothStacks), '', ''],
  ]);
  const parts = reports.map(({ choice, report }) => [
    choice.name,
    mebibytes(report.taskBytes.adapters),
    mebibytes(report.taskBytes.prefixes),
    slotCount(choice.config),
    mebibytes(report.taskBytes.lora),
    mebibytes(report.taskBytes.instruction),
    mebibytes(report.taskBytes.instructionKeys),
    `${(report.perInputToken / 1024).toFixed(0)}`,
  ]);
  return [
    `A task compiled from ${instruction} tokens by an engine of ${dtype}; crossover: tokens from which it takes less than a decoder-only cache${dtype === 'f32' ? '' : ' in bf16'}.`,
    '',
    table(['model', 'what', 'MiB', 'below one stack from', 'below both from'], rows),
    '',
    'What the task cache holds, in MiB (prefix sites: one an encoder layer, two a decoder layer; the formula counts one a layer of one stack):',
    table(['model', 'adapters', 'prefixes', 'sites', 'LoRA', 'encoded instruction', 'its keys and values', 'KiB a token of input or output'], parts), // prettier-ignore
    '',
    'Weights of an engine, in MiB: parameters, which stay in the file of a checkpoint that is mapped, and what is packed beside them',
    '(f32 for every dtype where this CPU has no AVX-512); and all that is held of them on CUDA:',
    table(
      [
        ...['model', 'parameters, f32 file', 'bf16 file', ...DTYPES.map((held) => `packed, ${held}`)],
        ...['on CUDA, f32', 'bf16'],
      ],
      reports.map(({ choice }) => {
        const weights = engineWeights(choice.config);
        const { f32, bf16 } = weights.f32.parameters;
        return [
          choice.name,
          ...[f32, bf16, ...DTYPES.map((held) => weights[held].packed.total)].map(mebibytes),
          ...[weights.cuda.f32, weights.cuda.bf16].map(mebibytes),
        ];
      }),
    ),
  ].join('\n');
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(2);
}
