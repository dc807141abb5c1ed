import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { readSniTask, readSniTaskNames, sniTaskFile } from '../../data/natural-instructions/tasks.js';
import { Engine } from '../../inference/engine.js';
import { findSystem } from '../../systems/index.js';
import { writeDirectoryAtomically } from '../../util/atomic-directory.js';
import { copyFileAtomic, writeFileAtomic } from '../../util/atomic-file.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { hashFile } from '../../util/hash-file.js';
import { packageVersion } from '../../util/package-root.js';
import { writeChart } from '../../util/plot/png.js';
import { shownMarkdown } from '../../util/shown.js';
import { makeFolder, ioError } from '../../util/write-error.js';
import { describeChangesLine } from '../run/changes-log.js';
import { drawCurves } from '../runs/curves.js';
import { modelCard, type PublishedTask } from './card.js';
import { baseName, publicSettings, publishedBase } from './public-settings.js';
import { publishableRun, type PublishableRun } from './publishable-run.js';
import { kindName, publishedScores } from './scores.js';

/** An instruction whose compiled task lies beside a published model. */
export interface DemoInstruction {
  /** Of its file, without the ending. */
  readonly name: string;
  readonly definition: string;
  readonly examples: readonly { readonly input: string; readonly output: string }[];
  readonly input?: string | undefined;
}

/** How a run is published. */
export interface PublishOptions {
  /** A new or empty folder. */
  readonly to: string;
  /** An identifier of the hub's list; by default none is stated. */
  readonly license?: string | undefined;
  /** Names of the training data on the hub. */
  readonly datasets?: readonly string[] | undefined;
  /** By default three tasks of Super-NaturalInstructions where that is what the run was trained on, else none. */
  readonly instructions?: readonly DemoInstruction[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What lies in the folder of a published run. */
export interface Published {
  readonly path: string;
  /** Names of the files, in alphabetical order. */
  readonly files: readonly string[];
  readonly tasks: readonly PublishedTask[];
}

const TASKS = 3;
const CARD = 'README.md';
/** Says where scores come from, and is on the card. */
const NOT_COPIED = new Set(['validation.json']);

/**
 * Writes a finished run as a folder for the hub: its best model with the tokenizer, compiled tasks, settings without the paths of
 * this machine, curves, and a model card. The folder is written whole or not at all.
 *
 * @throws HintError INVALID_ARGUMENT for a folder that has something in it, a licence or a dataset that is no name on the hub, and as {@link publishableRun}; IO, ABORTED
 */
export async function publishRun(path: string, options: PublishOptions): Promise<Published> {
  const { to, signal } = options;
  checkHubNames(options);
  await checkFree(to, path);
  const run = await publishableRun(path);
  let tasks: readonly PublishedTask[] = [];
  await writeDirectoryAtomically(to, async (folder) => {
    const names = (await readdir(run.model)).filter((name) => !name.startsWith('.') && !NOT_COPIED.has(name));
    for (const name of names) {
      throwIfAborted(signal);
      await copyFileAtomic(join(run.model, name), join(folder, name));
    }
    const settings = publicSettings(run.config);
    await writeFileAtomic(join(folder, 'training_config.json'), `${JSON.stringify(settings, null, 2)}\n`);
    const hasCurves = run.steps.length > 0;
    // Under the name of the folder, which is the model's.
    if (hasCurves) await writeChart(join(folder, 'curves.png'), drawCurves([{ ...run, path: to }]));
    const instructions = options.instructions ?? (await instructionsOfData(run));
    const made = await compileTasks(folder, instructions, signal);
    tasks = made.tasks;
    const card = await cardOf(run, { ...options, folder, hasCurves, ...made });
    await writeFileAtomic(join(folder, CARD), card);
  });
  return { path: to, files: await filesOf(to), tasks };
}

// As the hub takes them in a card's front matter.
const LICENSE = /^[a-z0-9][a-z0-9.+-]*$/;
const DATASET = /^[\w.-]+(\/[\w.-]+)?$/;

/** @throws HintError INVALID_ARGUMENT for what the hub would refuse */
function checkHubNames({ license, datasets = [] }: PublishOptions): void {
  if (license !== undefined && !LICENSE.test(license))
    throw new HintError(
      'INVALID_ARGUMENT',
      `The licence is ${JSON.stringify(license)}; give an identifier of the hub, in lower case, such as apache-2.0, mit or other.`,
    );
  const wrong = datasets.find((name) => !DATASET.test(name));
  if (wrong === undefined) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `The dataset is ${JSON.stringify(wrong)}; give its name on the hub, such as owner/name.`,
  );
}

/** @throws HintError INVALID_ARGUMENT */
async function checkFree(to: string, run: string): Promise<void> {
  if (`${resolve(to)}/`.startsWith(`${resolve(run)}/`))
    throw new HintError('INVALID_ARGUMENT', `${to} is within the run ${run}; give a folder outside of it.`);
  const names = await readdir(to).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return [] as string[];
    throw ioError('publish into', to, cause);
  });
  if (names.length === 0) return;
  const what = names.includes(CARD) && names.includes('training_config.json') ? 'a published model' : 'files';
  throw new HintError('INVALID_ARGUMENT', `${to} has ${what} in it; give a new folder, or remove it.`);
}

/** Tasks of the data, which are public: those that validated the run, else of its training. */
async function instructionsOfData({ config }: PublishableRun): Promise<DemoInstruction[]> {
  const data = config.validation?.data ?? config.data;
  if (data.kind !== 'sni' || !existsSync(data.directory)) return [];
  const split = config.validation?.split ?? data.split;
  const names = await readSniTaskNames(data.directory, split === 'test' ? 'test' : 'train', data.track);
  const found: DemoInstruction[] = [];
  for (const name of names.slice(0, TASKS)) {
    const task = await readSniTask(sniTaskFile(data.directory, name));
    found.push(demoInstruction(task, data.positives));
  }
  return found;
}

/** A task of Super-NaturalInstructions as an instruction with its first input. */
export function demoInstruction(
  task: {
    name: string;
    definition: string;
    positiveExamples: readonly { input: string; output: string }[];
    instances: readonly { input: string }[];
  },
  positives: number,
): DemoInstruction {
  const { name, definition, positiveExamples, instances } = task;
  const examples = positiveExamples.slice(0, positives).map(({ input, output }) => ({ input, output }));
  return { name, definition, examples, input: instances[0]?.input };
}

async function compileTasks(
  folder: string,
  instructions: readonly DemoInstruction[],
  signal: AbortSignal | undefined,
): Promise<{ tasks: PublishedTask[]; parameters: number }> {
  await using engine = await Engine.open(folder, { signal });
  const tasks: PublishedTask[] = [];
  if (instructions.length > 0) await makeFolder(join(folder, 'tasks'));
  const names = new Set<string>();
  for (const { name, definition, examples, input } of instructions) {
    const file = `tasks/${fileName(name, names)}.safetensors`;
    const task = await engine.compile({ definition, examples, signal });
    await task.save(join(folder, file), { signal });
    tasks.push({ file, definition, instructionTokens: task.instructionTokens, input });
    task.dispose();
  }
  const stored = engine.model.parameters.storedEntries();
  const parameters = stored.reduce((sum, [, { size }]) => sum + size, 0);
  return { tasks, parameters };
}

/** A name that is one part of a path everywhere, and not taken yet. */
function fileName(name: string, taken: Set<string>): string {
  const plain =
    name
      .replace(/[^\w.-]/g, '_')
      .replace(/^\.+/, '')
      .slice(0, 100) || 'task';
  let free = plain;
  for (let i = 2; taken.has(free); i++) free = `${plain}-${i}`;
  taken.add(free);
  return free;
}

interface CardParts extends PublishOptions {
  readonly folder: string;
  readonly hasCurves: boolean;
  readonly tasks: readonly PublishedTask[];
  readonly parameters: number;
}

async function cardOf(run: PublishableRun, parts: CardParts): Promise<string> {
  const { config, step } = run;
  const { to, license, datasets = [], folder, hasCurves, tasks, parameters } = parts;
  const system = findSystem(config.system);
  const base = publishedBase(config.model.init);
  return modelCard({
    title: basename(resolve(to)),
    summary: `${system.summary}${/[.!?]$/.test(system.summary) ? '' : '.'}`,
    system: config.system,
    family: system.family,
    license,
    datasets,
    base: base?.name,
    parameters,
    data: describeTraining(run),
    settings: mainSettings(run),
    changes: run.changes.map(describeChangesLine),
    scores: publishedScores(run, step),
    tasks,
    provenance: [
      ['made with', `hint-engine ${packageVersion()}`],
      ['system', `${config.system} (${system.paper} of Ivison et al., ACL 2023, arXiv 2212.10315)`],
      ['started from', startOf(run)],
      ['model of step', `${step} of ${config.steps}`],
      ['trained', datesOf(run)],
      [
        'SHA-256 of model.safetensors',
        (await hashFile(join(folder, 'model.safetensors'), parts.signal)).sha256,
      ],
    ],
    hasCurves,
  });
}

function startOf({ config }: PublishableRun): string {
  const { init } = config.model;
  const base = publishedBase(init);
  if (base) return `${base.name}, commit ${base.commit}`;
  if (typeof init === 'string') return `a model named ${baseName(init)}`;
  return 'size' in init ? `nothing, a new model of size ${init.size}` : 'nothing, a new model';
}

function datesOf({ steps }: PublishableRun): string {
  const days = [steps[0], steps.at(-1)].flatMap((line) => line?.time.slice(0, 10) ?? []);
  return [...new Set(days)].join(' to ') || 'in no step';
}

function describeTraining({ config }: PublishableRun): string[] {
  const { data } = config;
  const kept = publicSettings(config)['data'] as Record<string, unknown>;
  const which = Object.entries(kept).filter(([key]) => key !== 'kind');
  const list = which.map(([key, value]) => `- ${key}: ${shownMarkdown(JSON.stringify(value))}`);
  return [`Trained on ${kindName(data.kind)}:`, list.join('\n')];
}

function mainSettings({ config }: PublishableRun): [string, string][] {
  const { steps, batchSize, learningRate, schedule, warmupSteps, dropout, seed, optimizer } = config;
  const shown = {
    steps,
    batchSize,
    optimizer: optimizer.name,
    learningRate,
    schedule,
    warmupSteps,
    dropout,
    seed,
  };
  return [
    ...Object.entries(shown).map(([key, value]): [string, string] => [key, String(value)]),
    ['computeDtype', config.computeDtype],
    ['paramDtype', config.paramDtype],
  ];
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.replace(/\/+$/, '').length + 1))
    .sort();
}
