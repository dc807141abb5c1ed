import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { HintError } from '../../../util/errors.js';
import { summaryOf } from '../../../model/checkpoint/stored-config.js';
import { unappliedGeneration } from '../../../model/config/generation-file.js';
import { examineModel } from '../../../model/families/open-model.js';
import { findT5x, openWeights } from '../../../formats/checkpoint/open-weights.js';
import { isPeftAdapter, readPeftAdapter } from '../../../formats/peft/adapter.js';
import type { TensorInfo } from '../../../formats/weights/dtypes.js';
import { INSTRUCTION, INSTRUCTION_KEYS } from '../../../inference/contract/task-metadata.js';
import { RunDirectory } from '../../../training/run/run-directory.js';
import { showValue } from '../../../util/show-value.js';
import { shown } from '../../../util/shown.js';
import { action, print, printJson, table } from '../../support/context.js';
import { jsonOption, threadsOption } from '../../support/options.js';
import { describeInt8, inspectInt8, type Int8Options } from './int8.js';

interface InspectOptions extends Int8Options {
  readonly json: boolean;
  readonly int8: boolean;
}

type Report = { kind: 'model' | 'task' | 'adapter' | 'weights' | 'run'; path: string } & Record<
  string,
  unknown
>;

/** `hint inspect PATH`: what a model directory, a compiled task, an adapter of PEFT or a training run is. */
export function addInspectCommand(program: Command): void {
  program
    .command('inspect')
    .summary('describe a model directory, a compiled task, an adapter of PEFT or a training run')
    .description(
      'Reads headers and small files only: the answer comes at once, however large the model. With --int8 it computes.',
    )
    .argument(
      '<path>',
      'a model directory, a .safetensors task, a folder of a PEFT adapter, or a run directory',
    )
    .option('--int8', 'how far 8 bits move a model from f32, product by product', false)
    .option(
      '--text <file>',
      'with --int8: inputs, one a line: the first 64, 256 tokens of each (default: token ids by chance)',
    )
    .addOption(threadsOption())
    .addOption(jsonOption('the report'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint inspect runs/hint/model\n  $ hint inspect sentiment.task.safetensors --json\n  $ hint inspect runs/hint/model --int8 --text questions.txt',
    )
    .action(
      action(async (signal, path: string, options: InspectOptions) => {
        if (options.int8) {
          const measured = await inspectInt8(path, options, signal);
          if (options.json) printJson(measured);
          else print(describeInt8(measured));
          return;
        }
        if (options.text !== undefined)
          throw new HintError('INVALID_ARGUMENT', '--text is for --int8, which computes; give both or none.');
        const report = await inspect(path);
        if (options.json) printJson(report);
        else print(describe(report));
      }),
    );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function inspect(path: string): Promise<Report> {
  if (!(await exists(path)))
    throw new HintError(
      'NOT_FOUND',
      `${path} does not exist; give a model directory, a task file, a folder of a PEFT adapter or a run directory.`,
    );
  if (!(await stat(path)).isDirectory()) return inspectTask(path);
  if (await exists(join(path, 'metrics.jsonl'))) return inspectRun(path);
  if ((await exists(join(path, 'config.json'))) || (await findT5x(path))) return inspectModel(path);
  if (await isPeftAdapter(path)) return inspectAdapter(path);
  throw new HintError(
    'INVALID_FILE',
    `${path} holds neither config.json nor a checkpoint of T5X (a model), nor metrics.jsonl (a run), nor adapter_config.json (an adapter of PEFT); give a folder that does.`,
  );
}

async function inspectModel(path: string): Promise<Report> {
  const contents = await examineModel(path);
  const notices = await unappliedGeneration(path);
  const noticed = notices.length > 0 && { notices };
  if (contents) return { kind: 'model', path, ...contents, ...noticed };
  await using file = await openWeights(path);
  return { kind: 'model', path, ...summaryOf(file), ...noticed };
}

async function inspectTask(path: string): Promise<Report> {
  await using file = await openWeights(path);
  const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const isTask = file.metadata.get('format')?.startsWith('hint-task-') === true;
  return {
    kind: file.form === 'safetensors' ? 'task' : 'weights',
    path,
    bytes: (await stat(path)).size,
    ...(isTask ? { parts: partsOf(file.tensors.values()) } : {}),
    metadata: Object.fromEntries(file.metadata),
    tensors,
  };
}

/** What the tensors of a task file are of, by how their names begin. */
const TASK_PARTS = [
  [INSTRUCTION_KEYS, 'instructionKeys'],
  [INSTRUCTION, 'instruction'],
  ['adapter', 'adapters'],
  ['prefix', 'prefixes'],
  ['lora', 'lora'],
] as const;

/** Bytes of a task's values by what they are of. */
function partsOf(tensors: Iterable<TensorInfo>): Record<string, number> {
  const parts: Record<string, number> = {};
  for (const { name, byteLength } of tensors) {
    const [, part] = TASK_PARTS.find(([begin]) => name.startsWith(begin)) ?? [];
    if (part) parts[part] = (parts[part] ?? 0) + byteLength;
  }
  return parts;
}

async function inspectAdapter(path: string): Promise<Report> {
  const { path: file, changes } = await readPeftAdapter(path);
  const parameters = changes.reduce((sum, { rank, inputs, outputs }) => sum + rank * (inputs + outputs), 0);
  return {
    kind: 'adapter',
    path,
    file: basename(file),
    parameters,
    ranks: [...new Set(changes.map(({ rank }) => rank))],
    scales: [...new Set(changes.map(({ scale }) => scale))],
    modules: changes.map(({ module, rank, scale, inputs, outputs }) => ({
      name: module,
      shape: [outputs, inputs],
      rank,
      scale,
    })),
  };
}

async function inspectRun(path: string): Promise<Report> {
  const lines = await new RunDirectory(path).readMetrics();
  const checkpoints = await readdir(join(path, 'checkpoints')).catch(() => []);
  return {
    kind: 'run',
    path,
    loggedSteps: lines.length,
    last: lines.at(-1) ?? null,
    checkpoints: checkpoints
      .filter((name) => /^step-\d+$/.test(name))
      .sort((a, b) => Number(a.slice(5)) - Number(b.slice(5))),
    finished: await exists(join(path, 'model', 'config.json')),
  };
}

function describe(report: Report): string {
  const { kind, path, ...rest } = report;
  const rows: [string, string][] = [];
  const add = (prefix: string, value: unknown): void => {
    if (Array.isArray(value))
      rows.push([
        prefix,
        value.length === 0
          ? 'none'
          : value.map((one) => (typeof one === 'object' ? summary(one) : String(one))).join(', '),
      ]);
    else if (value && typeof value === 'object')
      for (const [key, inner] of Object.entries(value)) add(prefix ? `${prefix}.${key}` : key, inner);
    else rows.push([prefix, typeof value === 'number' ? shownNumber(value) : String(value)]);
  };
  add('', rest);
  return `${kind} ${shown(basename(path))}\n${table(['field', 'value'], rows)}`;
}

/** Large whole numbers in groups of three digits; every other number as it is. */
function shownNumber(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString('en') : String(value);
}

function summary(value: { name?: string; shape?: number[] }): string {
  return value.name ? `${value.name} [${value.shape?.join(', ')}]` : showValue(value);
}
