import type { TokenizedExample } from '../data/batch.js';
import { loadSniDataset } from '../data/natural-instructions/dataset.js';
import { loadP3Evaluation } from '../data/p3/evaluation.js';
import type { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import { scoredAs } from '../evaluation/rouge.js';
import { evaluateModel } from '../evaluation/evaluate.js';
import { averageDatasets, evaluateP3 } from '../evaluation/rank-classification.js';
import type { Group } from '../distributed/group.js';
import { HintError } from '../util/errors.js';
import { Engine } from '../inference/engine.js';
import type { AnyModel } from '../model/family.js';
import { findSystem } from '../systems/index.js';
import type { PlannedCell } from './plan.js';

/** What a search settled on. */
export interface ChosenSettings {
  /** The values of what was searched, by setting. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Updates that they come to. */
  readonly steps: number;
  /** What they were best by, and with how much. */
  readonly metric: string;
  readonly score: number;
  /** Of how many. */
  readonly of: number;
}

/** The accuracy with one prompt. */
export interface PromptScore {
  readonly dataset: string;
  readonly template: string;
  readonly accuracy: number;
}

/** The score of a trained cell. */
export interface CellScore {
  /** RougeL over instances, or the mean accuracy over ranked P3 datasets, times 100. */
  readonly score: number;
  readonly exactMatch?: number;
  readonly instances: number;
  /** Of 100 examples, tasks compiled once included; counted where answers are generated. */
  readonly flopsPer100?: number;
  /** Of each P3 dataset. */
  readonly datasets?: Readonly<Record<string, number>>;
  /** Of each prompt of these. */
  readonly prompts?: readonly PromptScore[];
  /** Where the settings of its training were searched: the best by validation. */
  readonly chosen?: ChosenSettings;
  /** Accuracy of guessing, averaged as the score is. */
  readonly chance?: number;
}

/** What evaluating reports to. */
export interface EvaluationContext {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Processes that share the tasks, each of which has the whole score. */
  readonly ranks?: Group | undefined;
}

/**
 * Evaluates the trained model of a cell on unseen tasks, shown as it was trained (method §7.5, method §8.5).
 *
 * @throws HintError as Engine.open, the loading of the data, evaluateModel and evaluateP3
 */
export async function evaluateCell(
  planned: PlannedCell,
  model: string,
  context: EvaluationContext,
): Promise<CellScore> {
  const { threads, device } = planned.config as { threads: number; device?: string };
  const { ranks } = context;
  const own = device === undefined ? undefined : (ranks?.deviceOf(device) ?? device);
  const where = {
    threads: ranks?.threadsOf(threads) ?? threads,
    ...(own === undefined ? {} : { device: own }),
  };
  await using engine = await Engine.open(model, { ...where, signal: context.signal });
  const { tokenizer } = engine;
  if (!tokenizer) throw new HintError('INTERNAL', `${model} was written without its tokenizer.`);
  const tools = { model: engine.model, tokenizer };
  // Awaited here: the engine closes when this function returns.
  return await (planned.config.data.kind === 'p3'
    ? evaluateOnP3(planned, tools, context)
    : evaluateOnSni(planned, tools, context));
}

interface Tools {
  model: AnyModel;
  tokenizer: Tokenizer;
}

async function evaluateOnSni(
  { config: { data, system }, evaluation }: PlannedCell,
  tools: Tools,
  { signal, onProgress, ranks }: EvaluationContext,
): Promise<CellScore> {
  if (data.kind !== 'sni') throw unknownData(data.kind);
  const examples = await loadSniDataset({
    directory: data.directory,
    split: 'test',
    track: data.track,
    setting: findSystem(system).setting(data.positives),
    tokenizer: tools.tokenizer,
    instancesPerTask: evaluation.instances,
    maxInstructionTokens: data.maxInstructionTokens,
    maxInputTokens: data.maxInputTokens,
    signal,
  });
  const { maxTokens, batchSize } = evaluation;
  const options = { maxTokens, batchSize, track: scoredAs(data.track), signal, onProgress, ranks };
  const { scores, flopsPer100 } = await evaluateModel(tools, examples, options);
  const { rougeL: score, exactMatch, count: instances } = scores;
  return { score, exactMatch, instances, flopsPer100 };
}

async function evaluateOnP3(
  { config: { data, system }, evaluation }: PlannedCell,
  tools: Tools,
  { signal, onProgress, ranks }: EvaluationContext,
): Promise<CellScore> {
  if (data.kind !== 'p3') throw unknownData(data.kind);
  const { form, shots } = data;
  const set = await loadP3Evaluation({
    directory: data.directory,
    setting: findSystem(system).p3Setting({ form, shots }),
    tokenizer: tools.tokenizer,
    maxInstructionTokens: data.maxInstructionTokens,
    maxInputTokens: data.maxInputTokens,
    signal,
  });
  const examples = firstOfEach(set.examples, evaluation.instances);
  const { batchSize, maxTokens } = evaluation;
  const { datasets, templates, average } = await evaluateP3(
    tools,
    { ...set, examples },
    { maxTokens, batchSize, signal, onProgress, ranks },
  );
  if (average === undefined)
    throw new HintError(
      'INVALID_DATA',
      `${data.directory} has no evaluation dataset with answer choices, so there is no accuracy; use P3's.`,
    );
  return {
    score: average,
    instances: examples.length,
    datasets: Object.fromEntries(
      datasets.flatMap(({ dataset, accuracy }) => (accuracy === undefined ? [] : [[dataset, accuracy]])),
    ),
    prompts: templates.flatMap(({ dataset, template, accuracy }) =>
      accuracy === undefined ? [] : [{ dataset, template, accuracy }],
    ),
    chance: chanceOf(examples, set.templates),
  };
}

/** The first examples of each task. */
export function firstOfEach(examples: readonly TokenizedExample[], count: number): TokenizedExample[] {
  const taken = new Map<string, number>();
  return examples.filter(({ task }) => {
    const before = taken.get(task) ?? 0;
    taken.set(task, before + 1);
    return before < count;
  });
}

function chanceOf(
  examples: readonly TokenizedExample[],
  templates: ReadonlyMap<string, { readonly dataset: string }>,
): number {
  const ranked = examples.flatMap(({ task, choices }) =>
    choices ? [{ task, accuracy: 100 / choices.length }] : [],
  );
  const perTemplate = [...templates].flatMap(([name, { dataset }]) => {
    const own = ranked.filter(({ task }) => task === name);
    return own.length > 0 ? [{ dataset, accuracy: mean(own), count: own.length }] : [];
  });
  return mean(averageDatasets(perTemplate).map(({ accuracy = 0 }) => ({ accuracy })));
}

function mean(values: readonly { readonly accuracy: number }[]): number {
  return values.reduce((sum, { accuracy }) => sum + accuracy, 0) / values.length;
}

function unknownData(kind: string): HintError {
  return new HintError('INVALID_CONFIG', `Tables are evaluated on SNI or P3, not on data of kind "${kind}".`);
}
