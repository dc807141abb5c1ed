import type { Command } from 'commander';
import type { TokenizedExample } from '../../../data/batch.js';
import { loadSniDataset } from '../../../data/natural-instructions/dataset.js';
import { loadOwnDataset, SPLIT_UNITS, TEST_FRACTION } from '../../../data/own/dataset.js';
import type { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import { evaluateModel, type Evaluation } from '../../../evaluation/evaluate.js';
import { scoredAs } from '../../../evaluation/rouge.js';
import { HintError } from '../../../util/errors.js';
import { familyOf } from '../../../inference/families/registry.js';
import type { AnyModel } from '../../../model/family.js';
import { openWeights } from '../../../formats/checkpoint/open-weights.js';
import { findSystem, type System } from '../../../systems/index.js';
import { describeNotice, Notices } from '../../../util/notices.js';
import { amongRanks } from '../../support/ranks.js';
import { action, note, print, printJson, table } from '../../support/context.js';
import { addDecodingFlags, batchSizeOption, decodingOf, type DecodingFlags } from '../../support/decoding.js';
import { describeP3, evaluateOnP3, type Among, type P3EvalOptions } from './p3.js';
import { Progress } from '../../support/progress.js';
import { addEngineOptions, openEngine, tellNotices, type EngineFlags } from '../../support/engine-options.js';
import { checkReplaceable, PREDICTIONS } from '../../../util/existing.js';
import { warnOfWordless } from '../../support/score-track.js';
import { jsonOption, modelArgument, wholeNumber } from '../../support/options.js';
import {
  addSplittingFlags,
  dataOption,
  datasetKind,
  datasetsOption,
  instancesOption,
  kindOption,
  p3SplitName,
  splitName,
  splittingOf,
  type SplittingFlags,
} from '../../support/dataset-options.js';

interface EvalOptions
  extends Omit<P3EvalOptions, 'seed' | 'maxTokens'>, DecodingFlags, EngineFlags, SplittingFlags {
  kind?: string;
  system?: string;
  positives?: number;
  track?: string;
  instances: number;
}

/** `hint eval MODEL`: predictions and scores on a dataset. */
export function addEvalCommand(program: Command): void {
  const command = program
    .command('eval')
    .summary('evaluate a model on the test tasks of a dataset')
    .description(
      'Compiles each task once, generates (greedily unless --decode says otherwise), and scores with RougeL and exact match as Tk-Instruct does.\n' +
        'On P3, scores every answer choice and takes the most probable: accuracy per template, dataset and overall.',
    )
    .addArgument(modelArgument())
    .addOption(dataOption().makeOptionMandatory())
    .addOption(kindOption())
    .option('--system <name>', 'whose format; default: the one the model was trained as')
    .option(
      '--positives <n>',
      'positive examples in the instruction; default: as in training',
      wholeNumber('--positives'),
    )
    .option(
      '--split <name>',
      'SNI: train, test (default) or excluded; P3: train, eval (default), fewshot or extra; own data: test (default), train, a name in the split field, or all',
    )
    .option('--track <name>', "SNI: the folder of splits/; answers of xlingual are scored by GPT-2's pieces")
    .addOption(instancesOption(100));
  addDecodingFlags(command)
    .addOption(batchSizeOption())
    .addOption(datasetsOption())
    .option('--form <name>', 'P3: joint or split; default: as in training')
    .option('--shots <n>', 'P3: worked examples; default: as in training', wholeNumber('--shots'))
    .option('--all-templates', 'P3: also templates that ask for something else than the dataset', false)
    .option('--length-normalised', "P3: rank by the mean instead of the sum over a choice's tokens", false)
    .option(
      '--predictions <file>',
      'also write the predictions as JSON lines; those of an earlier run are replaced',
    );
  addSplittingFlags(command);
  addEngineOptions(command)
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint eval runs/hint/model --data natural-instructions --predictions predictions.jsonl\n' +
        '  $ hint eval runs/hint-p3/model --data p3 --shots 2 --json',
    )
    .action(
      action((signal, directory: string, options: EvalOptions) =>
        amongRanks(async (ranks) => {
          const [result, text] = await evaluate(directory, options, { signal, ranks });
          const many = ranks ? { ranks: ranks.size } : {};
          if (options.json) printJson({ ...result, predictions: undefined, ...many });
          else print(text);
        }),
      ),
    );
}

/** The result, and the same as text. */
async function evaluate(
  directory: string,
  options: EvalOptions,
  { signal, ranks }: Among,
): Promise<[result: object, text: string]> {
  const kind = await datasetKind(options.data, options.kind);
  // Checked first, because evaluating takes minutes.
  if (options.predictions !== undefined) await checkReplaceable(options.predictions, PREDICTIONS);
  if (options.split !== undefined && kind !== 'own') (kind === 'p3' ? p3SplitName : splitName)(options.split);
  const threads = ranks?.threadsOf(options.threads) ?? options.threads;
  const device = ranks?.deviceOf(options.device) ?? options.device;
  await using engine = await openEngine(directory, { ...options, device, threads }, signal);
  tellNotices(engine);
  const { tokenizer, model } = engine;
  if (!tokenizer)
    throw new HintError(
      'NOT_FOUND',
      `${directory} has no tokenizer (tokenizer.json, spiece.model, or vocab.json with merges.txt); copy the model's there or give --tokenizer.`,
    );
  const trained = await trainedAs(directory);
  const system = findSystem(options.system ?? trained.get('system') ?? familyOf(model).systemOf(model));
  if (kind === 'p3') {
    const known = { form: trained.get('form'), shots: Number(trained.get('shots') ?? 0) };
    // Settings that another system was trained with do not apply to this one.
    const isSame = options.system === undefined || options.system === trained.get('system');
    const result = await evaluateOnP3(
      { model, tokenizer, system },
      {
        ...options,
        seed: options.seed ?? 0,
        maxTokens: decodingOf(options).maxTokens,
        form: options.form ?? (isSame ? known.form : undefined),
        shots: options.shots ?? (isSame ? known.shots : 0),
      },
      { signal, ranks },
    );
    return [result, describeP3(result)];
  }
  const positives = options.positives ?? Number(trained.get('positives') ?? 0);
  const loading = new Progress('tokenising', options.json);
  const notices = new Notices();
  const request = { ...options, positives, notices };
  const examples =
    kind === 'own'
      ? await ownExamples(
          { tokenizer, system },
          { ...request, ...splittingAsTrained(trained, options) },
          loading,
          signal,
        )
      : await sniExamples({ tokenizer, system }, request, loading, signal);
  loading.stop();
  for (const notice of notices.list) note(`warning: ${describeNotice(notice)}`);
  const result = await generateAndScore({ model, tokenizer }, examples, options, { signal, ranks });
  return [result, describe(result)];
}

interface Parts {
  tokenizer: Tokenizer;
  system: System;
}

interface ShownOptions extends EvalOptions {
  positives: number;
  notices: Notices;
}

function sniExamples(
  { tokenizer, system }: Parts,
  { data, split, track, positives, instances, notices }: ShownOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<TokenizedExample[]> {
  return loadSniDataset({
    directory: data,
    split: splitName(split ?? 'test'),
    ...(track === undefined ? {} : { track }),
    setting: system.setting(positives),
    tokenizer,
    instancesPerTask: instances,
    notices,
    signal,
    onProgress: ({ tasksDone, tasksTotal, examples: count }) =>
      progress.update(tasksDone, tasksTotal, `${count} examples`),
  });
}

function ownExamples(
  { tokenizer, system }: Parts,
  { data, split = 'test', positives, notices, ...flags }: ShownOptions,
  progress: Progress,
  signal: AbortSignal,
): Promise<TokenizedExample[]> {
  return loadOwnDataset({
    files: [data],
    split,
    ...splittingOf(flags),
    setting: system.setting(positives),
    tokenizer,
    notices,
    signal,
    onProgress: ({ examples }) => progress.update(examples, examples),
  });
}

/** How own data were split in training, but for what the options say: what was trained on is not evaluated on. */
function splittingAsTrained(trained: ReadonlyMap<string, string>, given: SplittingFlags): SplittingFlags {
  const { splitField = trained.get('splitField'), splitBy } = given;
  const testFraction = given.testFraction ?? Number(trained.get('testFraction') ?? TEST_FRACTION);
  const unit = splitBy ?? SPLIT_UNITS.find((known) => known === trained.get('splitBy'));
  return {
    testFraction,
    ...(splitField === undefined ? {} : { splitField }),
    ...(unit === undefined ? {} : { splitBy: unit }),
  };
}

async function generateAndScore(
  evaluated: { model: AnyModel; tokenizer: Tokenizer },
  examples: readonly TokenizedExample[],
  options: EvalOptions,
  { signal, ranks }: Among,
): Promise<Evaluation> {
  const generating = new Progress('generating', options.json);
  const result = await evaluateModel(evaluated, examples, {
    ...decodingOf(options),
    batchSize: options.batchSize,
    predictionsFile: options.predictions,
    track: scoredAs(options.track),
    signal,
    ranks,
    onProgress: (done, total) => generating.update(done, total),
  });
  generating.stop();
  warnOfWordless(result.scores, scoredAs(options.track));
  return result;
}

/** What the trainer wrote into the model file about how it was trained. */
async function trainedAs(directory: string): Promise<ReadonlyMap<string, string>> {
  await using file = await openWeights(directory);
  return file.metadata;
}

function describe({ scores, secondsPer100, flopsPer100, tasksCompiled, outputTokens }: Evaluation): string {
  const row = (
    name: string,
    s: { rougeL: number; exactMatch: number; count: number },
  ): (string | number)[] => [name, s.rougeL.toFixed(2), s.exactMatch.toFixed(2), s.count];
  const rows = [...Object.entries(scores.perTask).map(([name, one]) => row(name, one)), row('all', scores)];
  return [
    table(['task', 'RougeL', 'exact match', 'instances'], rows),
    '',
    `${tasksCompiled} tasks compiled, ${outputTokens} tokens generated; per 100 examples: ${secondsPer100.toFixed(2)} s, ${(flopsPer100 / 1e9).toFixed(2)} GFLOP`,
  ].join('\n');
}
