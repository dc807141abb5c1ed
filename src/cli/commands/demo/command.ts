import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { readSniTask, readSniTaskNames, sniTaskFile } from '../../../data/natural-instructions/tasks.js';
import { writeDemoDataset, writeDemoTokenizer, writePretrainingDataset } from '../../../demo/files.js';
import { HintError } from '../../../util/errors.js';
import { Engine } from '../../../inference/engine.js';
import { loadModel, saveModel } from '../../../model/checkpoint/checkpoint.js';
import { Device } from '../../../tensor/device.js';
import { parseTrainingConfig } from '../../../training/config/config.js';
import { trainFromConfig } from '../../../training/run/run.js';
import { copyFileAtomic } from '../../../util/atomic-file.js';
import { packageRoot } from '../../../util/package-root.js';
import { dropTemporary, temporaryFolder } from '../../../util/temporary.js';
import { action, note, print, printJson, table } from '../../support/context.js';
import { reporter } from '../../support/run-settings.js';
import { measureSystem, type DemoRow } from './measure.js';
import * as settings from '../../../demo/settings.js';
import { shellWord } from '../../../util/shell-word.js';
import { jsonOption, seedOption, wholeNumber } from '../../support/options.js';

interface DemoOptions {
  output?: string;
  quick: boolean;
  seed: number;
  steps?: number;
  pretrain?: string;
  json: boolean;
}

interface Shown {
  definition: string;
  runs: { input: string; output: string; expected: string }[];
}

/** `hint demo`: three systems trained from one small T5 and compared on instructions none of them has seen. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .summary('train and compare HINT and its baselines on a built-in dataset, in minutes')
    .description(
      'Writes a procedural instruction dataset, trains hint, tk-instruct and no-instruct from the same small T5 with the same number of\n' +
        'updates, and compares them on tasks whose wordings, and mostly also whose combinations of operations, are new. Then compiles\n' +
        'one instruction and runs it on new inputs.',
    )
    .option('--quick', 'a few updates only: shows that everything works, not that it learns', false)
    .option('--steps <n>', 'updates per system', wholeNumber('--steps', 1))
    .addOption(seedOption('dataset and training', settings.DEMO_SEED))
    .option('--output <directory>', 'keep data, runs and models here')
    .option(
      '--pretrain <directory>',
      'make the small T5 instead (models/demo-t5 was made so), some ten minutes',
    )
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint demo\n  $ hint demo --output runs/demo --seed 2\n  $ hint demo --pretrain models/demo-t5',
    )
    .action(
      action(async (signal, options: DemoOptions) => {
        if (options.pretrain !== undefined) return pretrain(resolve(options.pretrain), options, signal);
        const kept = options.output !== undefined;
        const folder = await workFolder(options, () => temporaryFolder('hint-demo'));
        try {
          await compare(folder, options, signal);
        } finally {
          if (!kept) await dropTemporary(folder);
        }
      }),
    );
}

/** A folder of its own: a user's runs may lie in one that is not empty. */
async function workFolder({ output }: DemoOptions, make: () => Promise<string>): Promise<string> {
  if (output === undefined) return make();
  const folder = resolve(output);
  if ((await entriesOf(folder)).length === 0) return folder;
  throw new HintError('INVALID_ARGUMENT', `${folder} is not empty; give --output a new folder.`);
}

/** What a folder holds; nothing where it is not there. @throws HintError INVALID_ARGUMENT where it is no folder, IO */
async function entriesOf(folder: string): Promise<string[]> {
  return readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [];
    if (cause.code === 'ENOTDIR')
      throw new HintError('INVALID_ARGUMENT', `${folder} is no folder; name a new one.`, { cause });
    throw new HintError('IO', `${folder} cannot be read (${cause.message}); name a new folder.`, { cause });
  });
}

/** A model that is there is replaced; anything else in its place is not. */
async function checkModelFolder(folder: string): Promise<void> {
  const entries = await entriesOf(folder);
  const isModel = entries.includes('config.json') && entries.includes('model.safetensors');
  if (entries.length === 0 || isModel) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${folder} is neither empty nor a model; give --pretrain a new folder, or that of a model to replace.`,
  );
}

async function compare(folder: string, options: DemoOptions, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  const data = join(folder, 'data');
  await writeDemoDataset(data, { seed: options.seed });
  const steps = options.steps ?? (options.quick ? 5 : settings.TRAINING_STEPS);
  const [train, test] = await Promise.all(
    (['train', 'test'] as const).map((split) => readSniTaskNames(data, split)),
  );
  if (!options.json)
    note(
      `${train?.length} training tasks, ${test?.length} unseen test tasks; ${steps} updates for each system`,
    );
  const init = join(packageRoot(), 'models', 'demo-t5');
  const rows: DemoRow[] = [];
  for (const system of settings.DEMO_SYSTEMS) {
    const output = join(folder, system);
    const config = parseTrainingConfig(
      settings.trainingConfig(system, init, data, output, steps, options.seed),
    );
    const summary = await trainFromConfig(config, { signal, onEvent: reporter(options.json, system) });
    if (summary.status === 'stopped') throw new HintError('ABORTED', 'The demo was stopped.');
    const measured = {
      testInstances: options.quick ? 1 : 10,
      timedRuns: options.quick ? 1 : 9,
      signal,
      quiet: options.json,
    };
    rows.push(await measureSystem(system, join(output, 'model'), data, measured));
  }
  const shown = await show(join(folder, 'hint', 'model'), data, test ?? [], signal);
  const seconds = (performance.now() - began) / 1000;
  if (options.json) printJson({ steps, rows, shown, seconds });
  else report(rows, shown, seconds, options);
}

/** One unseen instruction, compiled once and run on new inputs. */
async function show(
  model: string,
  data: string,
  tasks: readonly string[],
  signal: AbortSignal,
): Promise<Shown> {
  await using engine = await Engine.open(model, { signal });
  const { definition, instances } = await readSniTask(
    sniTaskFile(data, tasks[Math.floor(tasks.length / 2)] ?? ''),
  );
  const task = await engine.compile({ definition, signal });
  const chosen = instances.slice(0, 4);
  const outputs = await task.generate(
    chosen.map(({ input }) => input),
    { maxTokens: 12, signal },
  );
  return {
    definition,
    runs: chosen.map(({ input, outputs: expected }, i) => ({
      input,
      output: outputs[i]?.text ?? '',
      expected: expected[0] ?? '',
    })),
  };
}

function report(rows: DemoRow[], shown: Shown, seconds: number, options: DemoOptions): void {
  const find = (system: string): DemoRow => rows.find((row) => row.system === system) as DemoRow;
  const [hint, full, none] = [find('hint'), find('tk-instruct'), find('no-instruct')];
  print();
  print(
    table(
      ['system', 'RougeL', 'exact match', 'input tokens', 'MFLOP / 100 examples', 'ms / 100 examples'],
      rows.map((row) => [
        row.system,
        row.rougeL.toFixed(1),
        row.exactMatch.toFixed(1),
        row.inputTokens,
        (row.flopsPer100 / 1e6).toFixed(0),
        (row.secondsPer100 * 1000).toFixed(0),
      ]),
    ),
  );
  print();
  print(
    `On ${hint.instances} instances of unseen tasks, HINT has ${percent(hint.rougeL, full.rougeL)} of Tk-Instruct's RougeL and ${(hint.rougeL / Math.max(none.rougeL, 0.01)).toFixed(1)} times No-Instruct's,`,
  );
  print(
    `for ${percent(hint.flopsPer100, full.flopsPer100)} of Tk-Instruct's FLOPs and ${percent(hint.secondsPer100, full.secondsPer100)} of its time per 100 inputs, compiling included.`,
  );
  if (options.quick) print('This was --quick: after so few updates the scores say nothing.');
  print();
  print(`Compiled once: "${shown.definition}"`);
  for (const { input, output, expected } of shown.runs)
    print(`  ${input}  ->  ${output}${output === expected ? '' : `   (expected: ${expected})`}`);
  print();
  print(`Done in ${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s.`);
  if (options.output === undefined) return;
  print(
    `Serve what it trained to any client of OpenAI's API, with a page to try it in: npx hint serve ${shellWord(join(options.output, 'hint'))}`,
  );
}

function percent(part: number, whole: number): string {
  return `${Math.round((100 * part) / Math.max(whole, 1e-9))} %`;
}

/** Makes the shared starting point: text, tokenizer and a pretrained T5, stored in bf16. */
async function pretrain(target: string, options: DemoOptions, signal: AbortSignal): Promise<void> {
  await checkModelFolder(target);
  const folder = await workFolder(options, () => mkdtemp(join(tmpdir(), 'hint-pretrain-')));
  await writePretrainingDataset(join(folder, 'text'), {
    seed: options.seed,
    documents: settings.PRETRAINING_DOCUMENTS,
  });
  await writeDemoTokenizer(join(folder, 'tokenizer'));
  const steps = options.steps ?? settings.PRETRAINING_STEPS;
  const config = settings.pretrainingConfig(
    join(folder, 'text'),
    join(folder, 'tokenizer'),
    join(folder, 'run'),
    steps,
  );
  const summary = await trainFromConfig(parseTrainingConfig(config), {
    signal,
    onEvent: reporter(options.json, 'pretraining'),
  });
  if (summary.status === 'stopped')
    throw new HintError('ABORTED', `Pretraining was stopped; its checkpoint is ${summary.checkpoint}.`);
  using device = new Device();
  const model = await loadModel(device, join(folder, 'run', 'model'), { signal });
  await saveModel(model, target, { dtype: 'BF16', signal });
  for (const name of await readdir(join(folder, 'tokenizer')))
    await copyFileAtomic(join(folder, 'tokenizer', name), join(target, name));
  model.dispose();
  // A stopped run stays for --resume; a finished one is in the model.
  if (options.output === undefined) await rm(folder, { recursive: true, force: true });
  print(`Wrote ${target}: loss ${summary.loss?.toFixed(3)} after ${summary.step} updates.`);
}
