import { jsonRecord } from '../util/records.js';
import { performance } from 'node:perf_hooks';
import { EXAMPLES, InstructionRows, type Choice, type TokenizedExample } from '../data/batch.js';
import type { P3EvaluationSet } from '../data/p3/evaluation.js';
import { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import { HintError } from '../util/errors.js';
import { count } from '../inference/decode/task-batches.js';
import {
  SCORING,
  scoreChoices,
  type ChoiceScores,
  type ScoreChoicesOptions,
} from '../inference/decode/score-choices.js';
import type { AnyModel } from '../model/family.js';
import { anyModel } from '../model/families/registry.js';
import {
  checked,
  instance,
  map,
  optional,
  options as optionsOf,
  path,
  shaped,
  text,
} from '../util/arguments.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { Group } from '../distributed/group.js';
import { partOf, resultsOfAll } from './among-ranks.js';
import { EVALUATED, evaluateModel } from './evaluate.js';
import type { Prediction } from './prediction-files.js';
import { scorePredictions } from './score.js';

/** How a model is evaluated on P3. */
export interface P3EvaluateOptions extends ScoreChoicesOptions {
  /** Most tokens generated for datasets without choices (default 128). */
  maxTokens?: number;
  /** Also write the predictions here, as JSON lines that `hint score` reads, all or nothing. */
  predictionsFile?: string | undefined;
  /**
   * As in evaluateModel.
   */
  ranks?: Group | undefined;
}

const EVALUATE = optionsOf<P3EvaluateOptions>({
  ...SCORING,
  maxTokens: optional(count),
  predictionsFile: optional(path),
  ranks: optional(instance(Group, 'a Group')),
});
// Only generated answers need a tokenizer.
const RANKED = shaped<{ model: AnyModel; tokenizer?: Tokenizer | undefined }>(
  { model: anyModel, tokenizer: optional(instance(Tokenizer, 'a Tokenizer, such as engine.tokenizer')) },
  EVALUATED.allowed,
);
const SET = shaped<Pick<P3EvaluationSet, 'examples'> & { templates: ReadonlyMap<string, object> }>(
  { examples: EXAMPLES, templates: map(shaped({ dataset: text, template: text }, 'a template')) },
  'what loadP3Evaluation gives, an object { examples, templates }',
);

/** A prediction; ranked ones have the choices and their log probabilities. */
export interface P3Prediction extends Prediction {
  /** Texts that were ranked, in the order of the dataset. */
  readonly choices?: readonly string[];
  /** Log probability of each choice, in nats, in the same order. */
  readonly scores?: readonly number[];
}

/** Percentages of one template, or their means over the templates of a dataset. */
export interface P3Scores {
  /** Ranked datasets: how often the right choice is the most probable one. */
  readonly accuracy?: number;
  /** Generated datasets. */
  readonly rougeL?: number;
  /** Answers that equal a reference after normalisation, for generated datasets. */
  readonly exactMatch?: number;
  /** Examples that the means are of. */
  readonly count: number;
}

/** Result of evaluating a model on P3. */
export interface P3Evaluation {
  /** In the order of the examples. */
  predictions: P3Prediction[];
  /** Means over the examples of each template. */
  templates: (P3Scores & { dataset: string; template: string })[];
  /** Means over templates; the rounds of ANLI are one dataset, the mean of its rounds (method §8.5). */
  datasets: (P3Scores & { dataset: string; templates: number })[];
  /** Mean accuracy over the ranked datasets, each counting the same; undefined when there is none. */
  average: number | undefined;
  /** Ranked examples whose target is none of their choices: always wrong. */
  unanswerable: number;
  /** Wall time in seconds, without tokenising. */
  seconds: number;
}

/**
 * Evaluates a model on P3 (method §8.5): examples with choices by rank classification, the others by what the model
 * generates.
 *
 * @param evaluated the model, and its tokenizer where examples without choices are among the set
 * @param set from loadP3Evaluation
 * @throws HintError INVALID_DATA for no examples, or an example with an empty list of choices; IO; as scoreChoices and
 *   evaluateModel
 */
export async function evaluateP3(
  evaluated: { model: AnyModel; tokenizer?: Tokenizer | undefined },
  set: P3EvaluationSet,
  given: P3EvaluateOptions = {},
): Promise<P3Evaluation> {
  const { model, tokenizer } = checked(RANKED, evaluated, 'evaluated');
  checked(SET, set, 'set');
  const options = checked(EVALUATE, given, 'options');
  const { examples, templates } = set;
  if (examples.length === 0)
    throw new HintError('INVALID_DATA', 'There are 0 examples to evaluate; at least 1 is needed.');
  const { maxTokens, predictionsFile, lengthNormalised, ranks, ...batching } = options;
  const began = performance.now();
  const onProgress = (offset: number) => (done: number) =>
    options.onProgress?.(offset + done, examples.length);
  const ranked = examples.filter((example): example is RankedExample => example.choices !== undefined);
  const generated = examples.filter(({ choices }) => choices === undefined);
  // Checked first, because ranking takes minutes.
  if (generated.length > 0) checked(EVALUATED, evaluated, 'evaluated');
  const own = await rank(model, ranked, {
    ...batching,
    ...(await partOf(ranks, ranked)),
    onProgress: onProgress(0),
    ...(lengthNormalised === undefined ? {} : { lengthNormalised }),
  });
  const scored = await resultsOfAll(ranks, own, (scores) => scores);
  const predictions: P3Prediction[] = ranked.map(({ id, task, references, choices }, i) => {
    const { scores, best } = scored[i] as ChoiceScores;
    const texts = choices.map(({ text }) => text);
    return { id, task, prediction: texts[best] as string, references, choices: texts, scores };
  });
  if (generated.length > 0) {
    const free = await evaluateModel({ model, tokenizer: tokenizer as Tokenizer }, generated, {
      ...batching,
      ranks,
      onProgress: onProgress(ranked.length),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    });
    predictions.push(...free.predictions);
  }
  const seconds = (performance.now() - began) / 1000;
  if (predictionsFile !== undefined && (ranks?.rank ?? 0) === 0)
    await writeFileAtomic(predictionsFile, predictions.map(jsonRecord).join(''));
  return { predictions, ...scoreP3(predictions, templates), seconds };
}

/**
 * The scores of predictions on P3: accuracy of those that have choices, RougeL and exact match of the others (method §8.5).
 *
 * @param predictions each with its task and its references; of a ranked one the first is the right choice
 * @param templates by task name; tasks without predictions are left out
 * @throws HintError INVALID_DATA for a generated prediction that has no reference or the id of another one
 */
export function scoreP3(
  predictions: readonly P3Prediction[],
  templates: P3EvaluationSet['templates'],
): Omit<P3Evaluation, 'predictions' | 'seconds'> {
  const byTask = new Map<string, P3Scores>();
  let unanswerable = 0;
  for (const { task, prediction, references, choices } of predictions) {
    if (!choices) continue;
    const [right] = references as [string];
    if (!choices.includes(right)) unanswerable++;
    const { accuracy = 0, count } = byTask.get(task as string) ?? { count: 0 };
    const hits = (accuracy / 100) * count + (prediction === right ? 1 : 0);
    byTask.set(task as string, { accuracy: (100 * hits) / (count + 1), count: count + 1 });
  }
  const generated = predictions.filter(({ choices }) => choices === undefined);
  if (generated.length > 0)
    for (const [task, scores] of Object.entries(scorePredictions(generated).perTask))
      byTask.set(task, scores);
  const perTemplate = [...templates].flatMap(([task, { dataset, template }]) => {
    const scores = byTask.get(task);
    return scores ? [{ dataset, template, ...scores }] : [];
  });
  const datasets = averageDatasets(perTemplate);
  const accuracies = datasets.flatMap(({ accuracy }) => (accuracy === undefined ? [] : [accuracy]));
  return {
    templates: perTemplate,
    datasets,
    average: accuracies.length > 0 ? mean(accuracies) : undefined,
    unanswerable,
  };
}

type RankedExample = TokenizedExample & { choices: Choice[] };

async function rank(
  model: AnyModel,
  examples: readonly RankedExample[],
  options: ScoreChoicesOptions,
): Promise<ChoiceScores[]> {
  if (examples.length === 0) return [];
  const empty = examples.find(({ choices }) => choices.length === 0);
  if (empty)
    throw new HintError(
      'INVALID_DATA',
      `Example ${empty.id} has an empty list of choices; give it choices, or leave the list out to have it generated.`,
    );
  const rows = new InstructionRows();
  const withInstruction = examples.filter(({ instruction }) => instruction.length > 0);
  const taskIndex = withInstruction.map(({ instruction }) => rows.row(instruction));
  return scoreChoices(model, {
    ...options,
    inputs: examples.map(({ input }) => input),
    choices: examples.map(({ choices }) => choices.map(({ ids }) => ids)),
    ...(withInstruction.length > 0 ? { instructions: rows.distinct, taskIndex } : {}),
  });
}

/** Means over templates, then over the rounds of ANLI. */
export function averageDatasets(
  templates: readonly (P3Scores & { dataset: string })[],
): (P3Scores & { dataset: string; templates: number })[] {
  const rounds = averageBy(
    templates.map((scores) => ({ ...scores, templates: 1 })),
    ({ dataset }) => dataset,
  );
  return averageBy(rounds, ({ dataset }) => (/^anli_r\d$/.test(dataset) ? 'anli' : dataset));
}

type Counted = P3Scores & { dataset: string; templates: number };

function averageBy(scores: readonly Counted[], keyOf: (scores: Counted) => string): Counted[] {
  const groups = new Map<string, Counted[]>();
  for (const one of scores) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return [...groups].map(([dataset, group]) => {
    const average = (name: 'accuracy' | 'rougeL' | 'exactMatch'): Partial<P3Scores> => {
      const values = group.flatMap((one) => (one[name] === undefined ? [] : [one[name]]));
      return values.length > 0 ? { [name]: mean(values) } : {};
    };
    return {
      dataset,
      ...average('accuracy'),
      ...average('rougeL'),
      ...average('exactMatch'),
      count: group.reduce((sum, { count }) => sum + count, 0),
      templates: group.reduce((sum, { templates }) => sum + templates, 0),
    };
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
