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
import { isExactMatch } from './exact-match.js';
import { readPredictions, readReferences, type Prediction, type References } from './prediction-files.js';
import { bestRouge, TRACK, trackTokens, type ScoreTrack } from './rouge.js';

/** Mean metrics over `count` instances, times 100, rounded to four decimals as Tk-Instruct's scorer does. */
export interface Scores {
  /** F-measure of the longest common subsequence with the best reference, 0 to 100. */
  readonly rougeL: number;
  /** Answers that equal a reference after normalisation, 0 to 100. */
  readonly exactMatch: number;
  /** Instances that the means are of. */
  readonly count: number;
}

/** Scores over all instances (each counts the same, whatever its task), and of each task by itself. */
export interface ScoreReport extends Scores {
  /** Keyed by task name, in alphabetical order; instances without a task are in the overall scores only. */
  readonly perTask: Readonly<Record<string, Scores>>;
  /** References in which ROUGE finds no word, so that no prediction can score there; absent where there are none. */
  readonly wordlessReferences?: number;
}

/** Options of {@link scorePredictions}. */
export interface ScoreOptions {
  /** The track, which decides what a word is for ROUGE (default `default`: English words). */
  readonly track?: ScoreTrack | undefined;
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
const SCORING = { track: optional(TRACK) };
const SCORE_OPTIONS = optionsOf<ScoreOptions>(SCORING);
const FILE_OPTIONS = optionsOf<ScoreFileOptions>({
  ...SCORING,
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
 * @throws HintError INVALID_DATA if there are no predictions, an id occurs twice or has no reference; LIMIT_EXCEEDED
 */
export function scorePredictions(
  predictions: readonly Prediction[],
  references?: References,
  options: ScoreOptions = {},
): ScoreReport {
  checked(PREDICTIONS, predictions, 'predictions');
  checkedIfGiven(REFERENCES, references, 'references');
  const { track = 'default' } = checked(SCORE_OPTIONS, options, 'options');
  if (predictions.length === 0) {
    throw new HintError('INVALID_DATA', 'There are 0 predictions to score; at least 1 is needed.');
  }
  const overall = new Mean();
  const tasks = new Map<string, Mean>();
  const seen = new Set<string>();
  let wordlessReferences = 0;
  for (const prediction of predictions) {
    if (seen.has(prediction.id)) {
      throw new HintError(
        'INVALID_DATA',
        `Prediction id ${JSON.stringify(prediction.id)} occurs twice; keep one prediction per instance.`,
      );
    }
    seen.add(prediction.id);
    const expected = referencesOf(prediction, references);
    const expectedTokens = expected.map((reference) => trackTokens(reference, track));
    wordlessReferences += expectedTokens.filter(({ length }) => length === 0).length;
    const rouge = bestRouge(trackTokens(prediction.prediction, track), expectedTokens);
    const exact = Number(isExactMatch(prediction.prediction, expected));
    overall.add(rouge, exact);
    if (prediction.task === undefined) continue;
    const task = tasks.get(prediction.task) ?? new Mean();
    tasks.set(prediction.task, task);
    task.add(rouge, exact);
  }
  const sorted = [...tasks].sort(([a], [b]) => (a < b ? -1 : 1));
  const perTask = Object.fromEntries(sorted.map(([name, mean]) => [name, mean.scores()]));
  return { ...overall.scores(), perTask, ...(wordlessReferences > 0 ? { wordlessReferences } : {}) };
}

/** {@link scoreFile}'s result: the scores, and how many instances of a reference file got no prediction. */
export interface FileScoreReport extends ScoreReport {
  /** Always 0 for a Super-NaturalInstructions directory, whose tasks are usually evaluated in part. */
  readonly missing: number;
  /** Predictions left out because their references belong to another track; absent where there are none. */
  readonly otherTrack?: number;
}

/** How {@link scoreFile} scores, and against what. */
export interface ScoreFileOptions extends ScoreOptions {
  /** File or directory of acceptable answers; absent: those stored beside the predictions. */
  readonly references?: string | undefined;
  /** Ends the reading, which rejects with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Scores a file of predictions, as `hint score PREDICTIONS [--references PATH]` does.
 *
 * @param predictionsPath JSON lines of {id, prediction, task?, references?}, or as Tk-Instruct writes them
 * @param options.references JSON lines of {id, references, track?}, or a Super-NaturalInstructions directory; without it
 *   each prediction brings its own references. Where lines name a track, only those of the options' track count
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_DATA or LIMIT_EXCEEDED, naming file and line
 */
export async function scoreFile(
  predictionsPath: string,
  options: ScoreFileOptions = {},
): Promise<FileScoreReport> {
  checked(path, predictionsPath, 'predictionsPath');
  const { references: source, signal, track } = checked(FILE_OPTIONS, options, 'options');
  const predictions = await readPredictions(predictionsPath, signal);
  if (source === undefined) return { ...scorePredictions(predictions, undefined, { track }), missing: 0 };
  const { references, tasks, elsewhere, isComplete } = await readReferences(source, predictions, {
    track,
    signal,
  });
  const named = predictions.flatMap((prediction) => {
    if (elsewhere.has(prediction.id)) return [];
    const task = prediction.task ?? tasks.get(prediction.id);
    return [task === undefined ? prediction : { ...prediction, task }];
  });
  const report = scorePredictions(named, references, { track });
  const otherTrack = predictions.length - named.length;
  return {
    ...report,
    missing: isComplete ? references.size - report.count : 0,
    ...(otherTrack > 0 ? { otherTrack } : {}),
  };
}
