import { HintError } from '../util/errors.js';
import {
  checked,
  checkedIfGiven,
  list,
  map,
  optional,
  options as optionsOf,
  path,
  shaped,
  signal,
  text,
} from '../util/arguments.js';
import { exactMatch } from './exact-match.js';
import { readPredictions, readReferences, type Prediction, type References } from './prediction-files.js';
import { rougeL } from './rouge.js';

/** Mean metrics over `count` instances, times 100, rounded to four decimals as Tk-Instruct's scorer does. */
export interface Scores {
  readonly rougeL: number;
  readonly exactMatch: number;
  readonly count: number;
}

/** Scores over all instances (each counts the same, whatever its task), and of each task by itself. */
export interface ScoreReport extends Scores {
  /** Keyed by task name, in alphabetical order; instances without a task are in the overall scores only. */
  readonly perTask: Readonly<Record<string, Scores>>;
}

/**
 * Four decimals, rounded like Python's round: to the nearest, and to even when exactly halfway. Only odd multiples of
 * 1/32 lie exactly halfway in binary, and there toFixed would round up.
 */
function roundToFourDecimals(x: number): number {
  const halfway = Number.isInteger(x * 32) && (x * 32) % 2 === 1;
  if (!halfway) return Number(x.toFixed(4));
  const below = Math.floor(x * 1e4);
  return (below % 2 === 0 ? below : below + 1) / 1e4;
}

class Mean {
  private rougeL = 0;
  private exactMatch = 0;
  private count = 0;

  add(rouge: number, exact: number): void {
    this.rougeL += rouge;
    this.exactMatch += exact;
    this.count++;
  }

  scores(): Scores {
    return {
      rougeL: roundToFourDecimals((100 * this.rougeL) / this.count),
      exactMatch: roundToFourDecimals((100 * this.exactMatch) / this.count),
      count: this.count,
    };
  }
}

const PREDICTIONS = list(
  shaped<Prediction>(
    { id: text, prediction: text, task: optional(text), references: optional(list(text)) },
    'an object { id, prediction, task?, references? }',
  ),
);
const REFERENCES = map(list(text));
const FILE_OPTIONS = optionsOf<{ readonly references?: string; readonly signal?: AbortSignal }>({
  references: optional(path),
  signal: optional(signal),
});

function referencesOf(prediction: Prediction, references: References | undefined): readonly string[] {
  const found = references?.get(prediction.id) ?? prediction.references;
  if (found !== undefined && found.length > 0) return found;
  const next = references
    ? 'check that the references belong to these predictions'
    : 'add a "references" field to the prediction, or give the references separately';
  throw new HintError(
    'INVALID_DATA',
    `Prediction ${JSON.stringify(prediction.id)} has no reference; ${next}.`,
  );
}

/**
 * ROUGE-L and exact match exactly as Tk-Instruct's scorer (method §7.5): each instance scores its best reference,
 * the result is 100 times the mean over instances.
 *
 * @param predictions at least one; ids are distinct
 * @param references by instance id; takes precedence over the predictions' own references
 * @throws HintError INVALID_DATA if there are no predictions, an id occurs twice or has no reference
 */
export function scorePredictions(predictions: readonly Prediction[], references?: References): ScoreReport {
  checked(PREDICTIONS, predictions, 'predictions');
  checkedIfGiven(REFERENCES, references, 'references');
  if (predictions.length === 0) {
    throw new HintError('INVALID_DATA', 'There are 0 predictions to score; at least 1 is needed.');
  }
  const overall = new Mean();
  const tasks = new Map<string, Mean>();
  const seen = new Set<string>();
  for (const prediction of predictions) {
    if (seen.has(prediction.id)) {
      throw new HintError(
        'INVALID_DATA',
        `Prediction id ${JSON.stringify(prediction.id)} occurs twice; keep one prediction per instance.`,
      );
    }
    seen.add(prediction.id);
    const expected = referencesOf(prediction, references);
    const rouge = rougeL(prediction.prediction, expected);
    const exact = exactMatch(prediction.prediction, expected);
    overall.add(rouge, exact);
    if (prediction.task === undefined) continue;
    const task = tasks.get(prediction.task) ?? new Mean();
    tasks.set(prediction.task, task);
    task.add(rouge, exact);
  }
  const sorted = [...tasks].sort(([a], [b]) => (a < b ? -1 : 1));
  const perTask = Object.fromEntries(sorted.map(([name, mean]) => [name, mean.scores()]));
  return { ...overall.scores(), perTask };
}

/** {@link scoreFile}'s result: the scores, and how many instances of a reference file got no prediction. */
export interface FileScoreReport extends ScoreReport {
  /** Always 0 for a Super-NaturalInstructions directory, whose tasks are usually evaluated in part. */
  readonly missing: number;
}

/**
 * What `hint score PREDICTIONS [--references PATH]` computes.
 *
 * @param predictionsPath JSON lines, see {@link readPredictions}
 * @param options.references JSON lines of {id, references}, or a Super-NaturalInstructions directory; without it each
 *   prediction brings its own references
 * @throws HintError NOT_FOUND, IO, INVALID_JSON or INVALID_DATA, naming file and line
 */
export async function scoreFile(
  predictionsPath: string,
  options: { readonly references?: string; readonly signal?: AbortSignal } = {},
): Promise<FileScoreReport> {
  checked(path, predictionsPath, 'predictionsPath');
  const given = checked(FILE_OPTIONS, options, 'options');
  const predictions = await readPredictions(predictionsPath, given.signal);
  if (given.references === undefined) return { ...scorePredictions(predictions), missing: 0 };
  const { references, tasks, isComplete } = await readReferences(given.references, predictions, given.signal);
  const named = predictions.map((prediction) => {
    const task = prediction.task ?? tasks.get(prediction.id);
    return task === undefined ? prediction : { ...prediction, task };
  });
  const report = scorePredictions(named, references);
  return { ...report, missing: isComplete ? references.size - report.count : 0 };
}
