import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError, throwIfAborted } from '../util/errors.js';
import { readTextLines } from '../data/line-blocks.js';
import { check, listOf, type Faults } from '../util/check.js';
import { showValue } from '../util/show-value.js';
import { parseJson, readJson } from '../util/read-file.js';

/** One generated answer to be scored. */
export interface Prediction {
  /** Of the instance that was answered, as its dataset writes it. */
  readonly id: string;
  /** The model's answer as text. */
  readonly prediction: string;
  /** Name of the task that the instance belongs to; absent where the file does not say. */
  readonly task?: string;
  /** Acceptable answers, where they are stored beside the prediction. */
  readonly references?: readonly string[];
}

/** Accepted answers by instance id. */
export type References = ReadonlyMap<string, readonly string[]>;

/** References as read from a file or a Super-NaturalInstructions directory. */
export interface ReferenceSet {
  readonly references: References;
  /** Task name by instance id, where the source knows it. */
  readonly tasks: ReadonlyMap<string, string>;
  /** Ids whose references belong to another track. */
  readonly elsewhere: ReadonlySet<string>;
  /** Whether every reference was meant to be predicted: a file lists what is evaluated, a task directory far more. */
  readonly isComplete: boolean;
}

const answers = z.union(
  [z.string().transform((text) => [text]), listOf(z.string()).refine((list) => list.length > 0)],
  { error: 'must be a text, or a list of at least one text' },
);

// The file Tk-Instruct writes after evaluation; its scorer reads `Prediction`.
const tkInstructLine = z
  .object({
    Task: z.string().optional(),
    id: z.string().optional(),
    Instance: z.object({ id: z.string().optional(), output: answers }),
    prediction: z.string().optional(),
    Prediction: z.string().optional(),
  })
  .transform(({ Task, id, Instance, prediction, Prediction }) => ({
    id: Instance.id ?? id,
    prediction: Prediction ?? prediction,
    task: Task,
    references: Instance.output,
  }));

const plainLine = z
  .object({
    id: z.string(),
    prediction: z.string().optional(),
    Prediction: z.string().optional(),
    task: z.string().optional(),
    Task: z.string().optional(),
    references: answers.optional(),
  })
  .transform(({ Prediction, Task, ...line }) => ({
    ...line,
    prediction: line.prediction ?? Prediction,
    task: line.task ?? Task,
  }));

const referenceLine = z.object({ id: z.string(), references: answers, track: z.string().optional() });

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

/** The values of a JSON-lines file that are not blank, one at a time. */
async function* readJsonLines(
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ value: unknown; where: string }, void, undefined> {
  for await (const { text, where } of readTextLines(path, 'the file', { signal }))
    yield { value: parseJson(text, where, 'the file'), where };
}

function notAsExpected(where: string, value: unknown, fault: string, expected: string): HintError {
  return new HintError(
    'INVALID_DATA',
    `${where} is ${showValue(value)} (${fault}); each line must be ${expected}.`,
  );
}

function describeFault([{ path, message }]: Faults): string {
  return path.length > 0 ? `field ${path.join('.')} ${message}` : message;
}

const PREDICTION_LINE = '{"id": "…", "prediction": "…", "task"?: "…", "references"?: ["…"]}';

/** Parses a line. One with an `Instance` has Tk-Instruct's form, whatever other fields it has. */
function parsePrediction(value: unknown, where: string): Prediction {
  const isTkInstruct = typeof value === 'object' && value !== null && Object.hasOwn(value, 'Instance');
  const expected = isTkInstruct
    ? '{"Task"?: "…", "Instance": {"id": "…", "output": ["…"]}, "Prediction": "…"}'
    : PREDICTION_LINE;
  const { data, faults } = check(isTkInstruct ? tkInstructLine : plainLine, value);
  if (faults) throw notAsExpected(where, value, describeFault(faults), expected);
  const { id, prediction, task, references } = data;
  if (id === undefined) throw notAsExpected(where, value, 'field Instance.id is missing', expected);
  if (prediction === undefined) throw notAsExpected(where, value, 'field prediction is missing', expected);
  return { id, prediction, ...(task && { task }), ...(references && { references }) };
}

/**
 * Reads predictions: JSON lines of {id, prediction, task?, references?} (references one string or a list), or the
 * {Task, Instance, Prediction} lines Tk-Instruct writes, with or without a top-level id; `prediction` and `Prediction` are
 * the same field. Blank lines are skipped.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON or INVALID_DATA, naming file and line
 */
export async function readPredictions(path: string, signal?: AbortSignal): Promise<Prediction[]> {
  const predictions: Prediction[] = [];
  for await (const { value, where } of readJsonLines(path, signal))
    predictions.push(parsePrediction(value, where));
  if (predictions.length === 0) {
    throw new HintError('INVALID_DATA', `${path} holds 0 predictions; each line must be ${PREDICTION_LINE}.`);
  }
  return predictions;
}

/** Options of {@link readReferences}. */
export interface ReadReferencesOptions {
  /** Of a file whose lines name a track, only those of this one are references. */
  readonly track?: string | undefined;
  readonly signal?: AbortSignal | undefined;
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
  { track, signal }: ReadReferencesOptions = {},
): Promise<ReferenceSet> {
  const status = await stat(path).catch((cause: unknown) => {
    throw ioError(path, cause);
  });
  if (status.isDirectory()) {
    return readTaskReferences(path, predictions, signal);
  }
  const references = new Map<string, readonly string[]>();
  const elsewhere = new Set<string>();
  const expected = '{"id": "…", "references": ["…"]}';
  for await (const { value, where } of readJsonLines(path, signal)) {
    const { data: line, faults } = check(referenceLine, value);
    if (faults) throw notAsExpected(where, value, describeFault(faults), expected);
    if (references.has(line.id) || elsewhere.has(line.id)) {
      throw new HintError(
        'INVALID_DATA',
        `${path} holds id ${JSON.stringify(line.id)} twice; keep one line.`,
      );
    }
    if (track !== undefined && line.track !== undefined && line.track !== track) elsewhere.add(line.id);
    else references.set(line.id, line.references);
  }
  if (references.size === 0)
    throw new HintError(
      'INVALID_DATA',
      elsewhere.size > 0
        ? `${path} has no references of the track ${track}; all its ${elsewhere.size} lines name another.`
        : `${path} holds 0 references; each line must be ${expected}.`,
    );
  return { references, tasks: new Map(), elsewhere, isComplete: true };
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
        `${file} is not a Super-NaturalInstructions task: ${issue.path.join('.')} ${issue.message}. Mend the field or take the file from the original checkout.`,
      );
    }
    for (const { id, output } of data.Instances) {
      if (id === undefined) continue;
      references.set(id, typeof output === 'string' ? [output] : output);
      tasks.set(id, name.slice(0, -'.json'.length));
    }
  }
  return { references, tasks, elsewhere: new Set(), isComplete: false };
}
