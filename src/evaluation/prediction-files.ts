import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError, throwIfAborted } from '../util/errors.js';
import { readTextLines } from '../data/line-blocks.js';
import { check, listOf } from '../util/check.js';
import { showValue } from '../util/show-value.js';
import { parseJson, readJson } from '../util/read-file.js';

/** One generated answer to be scored. */
export interface Prediction {
  readonly id: string;
  readonly prediction: string;
  readonly task?: string;
  readonly references?: readonly string[];
}

/** Accepted answers by instance id. */
export type References = ReadonlyMap<string, readonly string[]>;

/** References as read from a file or a Super-NaturalInstructions directory. */
export interface ReferenceSet {
  readonly references: References;
  /** Task name by instance id, where the source knows it. */
  readonly tasks: ReadonlyMap<string, string>;
  /** Whether every reference was meant to be predicted: a file lists what is evaluated, a task directory far more. */
  readonly isComplete: boolean;
}

const answers = z.union([
  z.string().transform((text) => [text]),
  listOf(z.string()).refine((list) => list.length > 0),
]);
const instance = z.object({ id: z.string(), output: answers });

const predictionLine = z.union([
  z.object({
    id: z.string(),
    prediction: z.string(),
    task: z.string().optional(),
    references: answers.optional(),
  }),
  // The file Tk-Instruct writes after evaluation.
  z.object({ Task: z.string().optional(), Instance: instance, prediction: z.string() }).transform((line) => ({
    id: line.Instance.id,
    prediction: line.prediction,
    task: line.Task,
    references: line.Instance.output,
  })),
]);

const referenceLine = z.object({ id: z.string(), references: answers });

// Older releases have instances without an id; nothing can refer to those.
const taskFile = z.object({
  Instances: listOf(
    z.object({ id: z.string().optional(), output: z.union([z.string(), listOf(z.string())]) }),
  ),
});

function ioError(path: string, cause: unknown): HintError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') {
    return new HintError('NOT_FOUND', `${path} does not exist; check the path.`, { cause });
  }
  return new HintError('IO', `${path} cannot be read (${code ?? String(cause)}); give a readable file.`, {
    cause,
  });
}

/** The non-empty lines of a JSON-lines file, checked against a schema, one at a time. */
async function* readJsonLines<T>(
  path: string,
  schema: z.ZodType<T>,
  expected: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  for await (const { text, where } of readTextLines(path, 'the file', { signal })) {
    const value = parseJson(text, where, 'the file');
    const { data, faults } = check(schema, value);
    if (faults)
      throw new HintError('INVALID_DATA', `${where} is ${showValue(value)}; each line must be ${expected}.`);
    yield data;
  }
}

/**
 * Reads predictions: JSON lines of {id, prediction, task?, references?} (references one string or a list), or the
 * {Task, Instance, prediction} lines Tk-Instruct writes. Blank lines are skipped.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON or INVALID_DATA, naming file and line
 */
export async function readPredictions(path: string, signal?: AbortSignal): Promise<Prediction[]> {
  const expected = '{"id": "…", "prediction": "…", "task"?: "…", "references"?: ["…"]}';
  const predictions: Prediction[] = [];
  for await (const { id, prediction, task, references } of readJsonLines(
    path,
    predictionLine,
    expected,
    signal,
  )) {
    predictions.push({ id, prediction, ...(task && { task }), ...(references && { references }) });
  }
  if (predictions.length === 0) {
    throw new HintError('INVALID_DATA', `${path} holds 0 predictions; each line must be ${expected}.`);
  }
  return predictions;
}

/**
 * Reads the references of some predictions.
 *
 * @param path JSON lines of {id, references}, or a Super-NaturalInstructions directory, of which only the files of the
 *   predicted tasks are read
 * @throws HintError NOT_FOUND, IO, INVALID_JSON or INVALID_DATA
 */
export async function readReferences(
  path: string,
  predictions: readonly Prediction[],
  signal?: AbortSignal,
): Promise<ReferenceSet> {
  const status = await stat(path).catch((cause: unknown) => {
    throw ioError(path, cause);
  });
  if (status.isDirectory()) {
    return readTaskReferences(path, predictions, signal);
  }
  const references = new Map<string, readonly string[]>();
  const expected = '{"id": "…", "references": ["…"]}';
  for await (const line of readJsonLines(path, referenceLine, expected, signal)) {
    if (references.has(line.id)) {
      throw new HintError(
        'INVALID_DATA',
        `${path} holds id ${JSON.stringify(line.id)} twice; keep one line.`,
      );
    }
    references.set(line.id, line.references);
  }
  return { references, tasks: new Map(), isComplete: true };
}

/** task123 of an instance id (task123-<hash>) or of a task name (task123_<source>_<task>). */
function taskNumber(name: string): string | undefined {
  return /^task\d+(?=[-_.])/.exec(name)?.[0];
}

async function readTaskReferences(
  directory: string,
  predictions: readonly Prediction[],
  signal: AbortSignal | undefined,
): Promise<ReferenceSet> {
  const folder = join(directory, 'tasks');
  const names = await readdir(folder).catch((cause: unknown) => {
    throw ioError(folder, cause);
  });
  const wanted = new Set(predictions.map(({ id, task }) => taskNumber(id) ?? taskNumber(task ?? '')));
  const references = new Map<string, readonly string[]>();
  const tasks = new Map<string, string>();
  for (const name of names.filter((file) => file.endsWith('.json') && wanted.has(taskNumber(file))).sort()) {
    throwIfAborted(signal);
    const file = join(folder, name);
    const { data, faults } = check(taskFile, await readJson(file, 'a task file', signal));
    if (faults) {
      const [issue] = faults;
      throw new HintError(
        'INVALID_DATA',
        `${file} is not a Super-NaturalInstructions task: ${issue.path.join('.')}: ${issue.message}.`,
      );
    }
    for (const { id, output } of data.Instances) {
      if (id === undefined) continue;
      references.set(id, typeof output === 'string' ? [output] : output);
      tasks.set(id, name.slice(0, -'.json'.length));
    }
  }
  return { references, tasks, isComplete: false };
}
