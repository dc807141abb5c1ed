import type { Command } from 'commander';
import { loadSniDataset } from '../data/dataset.js';
import type { SniSplit } from '../data/natural-instructions.js';
import { evaluateModel, type Evaluation } from '../evaluation/evaluate.js';
import { HintError } from '../errors.js';
import { Engine } from '../inference/engine.js';
import { openSafetensors } from '../model/safetensors.js';
import { findSystem } from '../systems/index.js';
import type { WeightDType } from '../tensor/ops.js';
import { action, dtypeOption, print, printJson, splitName, table, wholeNumber } from './context.js';
import { Progress } from './progress.js';

interface EvalOptions {
  data: string;
  system?: string;
  positives?: number;
  split: SniSplit;
  instances: number;
  maxTokens: number;
  batchSize: number;
  predictions?: string;
  tokenizer?: string;
  dtype: WeightDType;
  threads: number;
  json: boolean;
}

/** `hint eval MODEL`: predictions and scores on a dataset. */
export function addEvalCommand(program: Command): void {
  program
    .command('eval')
    .summary('evaluate a model on the test tasks of a dataset')
    .description(
      'Compiles each task once, generates greedily, and scores with RougeL and exact match as Tk-Instruct does.',
    )
    .argument('<model>', 'a model directory with its tokenizer.json')
    .requiredOption('--data <directory>', 'a dataset in the Super-NaturalInstructions schema')
    .option('--system <name>', 'whose format; default: the one the model was trained as')
    .option(
      '--positives <n>',
      'positive examples in the instruction; default: as in training',
      wholeNumber('--positives'),
    )
    .option('--split <name>', 'train, test or excluded', splitName, 'test')
    .option('--instances <n>', 'instances of each task', wholeNumber('--instances', 1), 100)
    .option('--max-tokens <n>', 'most tokens generated', wholeNumber('--max-tokens', 1), 128)
    .option('--batch-size <n>', 'inputs decoded together', wholeNumber('--batch-size', 1), 64)
    .option('--predictions <file>', 'also write the predictions as JSON lines')
    .option('--tokenizer <path>', 'a tokenizer.json elsewhere')
    .addOption(dtypeOption())
    .option('--threads <n>', 'compute threads, 0 for every core', wholeNumber('--threads'), 0)
    .option('--json', 'print the result as JSON', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ hint eval runs/hint/model --data natural-instructions --predictions predictions.jsonl',
    )
    .action(
      action(async (signal, directory: string, options: EvalOptions) => {
        const result = await evaluate(directory, options, signal);
        if (options.json) printJson({ ...result, predictions: undefined });
        else print(describe(result));
      }),
    );
}

async function evaluate(directory: string, options: EvalOptions, signal: AbortSignal): Promise<Evaluation> {
  await using engine = await Engine.open(directory, {
    dtype: options.dtype,
    threads: options.threads,
    signal,
    ...(options.tokenizer === undefined ? {} : { tokenizer: options.tokenizer }),
  });
  const { tokenizer, model } = engine;
  if (!tokenizer)
    throw new HintError(
      'NOT_FOUND',
      `${directory} has no tokenizer.json; copy the model's there or give --tokenizer.`,
    );
  const trained = await trainedAs(directory);
  const fallback = model.hypernetwork?.readsInstruction ? 'hint' : 'tk-instruct';
  const system = findSystem(options.system ?? trained.system ?? fallback);
  const loading = new Progress('tokenising', options.json);
  const examples = await loadSniDataset({
    directory: options.data,
    split: options.split,
    setting: system.setting(options.positives ?? trained.positives),
    tokenizer,
    instancesPerTask: options.instances,
    signal,
    onProgress: ({ tasksDone, tasksTotal, examples: count }) =>
      loading.update(tasksDone, tasksTotal, `${count} examples`),
  });
  loading.stop();
  const generating = new Progress('generating', options.json);
  const result = await evaluateModel({ model, tokenizer }, examples, {
    maxTokens: options.maxTokens,
    batchSize: options.batchSize,
    predictionsFile: options.predictions,
    signal,
    onProgress: (done, total) => generating.update(done, total),
  });
  generating.stop();
  return result;
}

/** What the trainer wrote into the model file about how it was trained. */
async function trainedAs(directory: string): Promise<{ system: string | undefined; positives: number }> {
  await using file = await openSafetensors(directory);
  return { system: file.metadata.get('system'), positives: Number(file.metadata.get('positives') ?? 0) };
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
