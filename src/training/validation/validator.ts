import { performance } from 'node:perf_hooks';
import { buildBatch, type TokenizedExample } from '../../data/batch.js';
import { p3TaskName } from '../../data/p3/format.js';
import { splitByTokens } from '../../data/sampling.js';
import { evaluateModel } from '../../evaluation/evaluate.js';
import { evaluateP3 } from '../../evaluation/rank-classification.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { AnyModel } from '../../model/family.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { ValidationMetric, ValidationSettings } from '../config/validation-config.js';
import { targetLosses } from '../step/microbatch.js';
import { afterValidation, type ValidationState } from './best.js';
import type { ValidationExamples } from './validation-set.js';

/** Scores of a task, or of all examples. Percentages are absent where the metric is `loss`, or does not apply. */
export interface ValidationScores {
  /** Mean cross entropy per target token, nats, without dropout. */
  loss: number;
  /** F-measure of the longest common subsequence with the best reference, 0 to 100. */
  rougeL?: number;
  /** Answers that equal a reference after normalisation, 0 to 100. */
  exactMatch?: number;
  /** Share of P3's ranked examples whose most probable choice is right; overall the mean over datasets. */
  accuracy?: number;
  /** How many the means are of. */
  examples: number;
}

/** One validation of a run. */
export interface ValidationReport extends ValidationScores {
  /** Updates that the model has had. */
  step: number;
  /** By which the best model is chosen. */
  metric: ValidationMetric;
  /** What `metric` came to. */
  score: number;
  /** Whether no earlier validation of the run has been as good. */
  isBest: boolean;
  /** In alphabetical order. */
  perTask: Record<string, ValidationScores>;
  /** Wall time. */
  seconds: number;
}

/** What a validator works with. */
export interface ValidatorParts {
  readonly model: AnyModel;
  readonly tokenizer: Tokenizer;
  readonly set: ValidationExamples;
  readonly settings: ValidationSettings;
  /** Tokens per forward pass. */
  readonly tokenBudget: number;
  /** Most tokens of an answer; undefined: as many as generation allows. */
  readonly maxTokens: number | undefined;
  /** What a resumed run goes on from. */
  readonly state: ValidationState | undefined;
}

/**
 * Scores a model in training and keeps track of the best step. The model has to be settled. Scores depend on its weights
 * and the examples alone, and nothing of the training changes by it.
 */
export class Validator {
  private current: ValidationState | undefined;

  constructor(private readonly parts: ValidatorParts) {
    this.current = parts.state;
  }

  get state(): ValidationState | undefined {
    return this.current && { ...this.current };
  }

  get settings(): ValidationSettings {
    return this.parts.settings;
  }

  /** Whether the run ends here: so many validations have passed without a better score as its patience allows. */
  get isExhausted(): boolean {
    const { patience = Infinity } = this.parts.settings;
    return (this.current?.sinceBest ?? 0) >= patience;
  }

  /**
   * Validates after a step. An aborted validation counts as none.
   *
   * @throws HintError NUMERIC when a score is no finite number, ABORTED, OUT_OF_MEMORY
   */
  async validate(
    step: number,
    signal?: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<ValidationReport> {
    const began = performance.now();
    const { metric } = this.parts.settings;
    const total = this.parts.set.examples.length;
    // A forward pass over the examples, and where answers count as well, these.
    const passes = metric === 'loss' ? 1 : 2;
    const told = (pass: number) => (done: number) => onProgress?.(pass * total + done, passes * total);
    const losses = await this.losses(signal, told(0));
    const answers = metric === 'loss' ? undefined : await this.answers(signal, told(1));
    const tasks = [...losses.perTask].sort(([a], [b]) => (a < b ? -1 : 1));
    const perTask = Object.fromEntries(
      tasks.map(([task, own]) => [task, { ...own, ...answers?.perTask.get(task) }]),
    );
    const scores: ValidationScores = { ...losses.all, ...answers?.all };
    const score = scores[metric];
    if (score === undefined) throw new HintError('INTERNAL', `A validation has no ${metric}.`);
    const { fingerprint } = this.parts.set;
    this.current = afterValidation(this.current, { metric, fingerprint, step, score });
    const isBest = this.current.bestStep === step;
    const seconds = (performance.now() - began) / 1000;
    return { step, metric, score, isBest, ...scores, perTask, seconds };
  }

  private async losses(
    signal: AbortSignal | undefined,
    onProgress: (done: number) => void,
  ): Promise<{ all: ValidationScores; perTask: Map<string, ValidationScores> }> {
    const { model, set, tokenBudget } = this.parts;
    const all = new MeanLoss();
    const perTask = new Map<string, MeanLoss>();
    for (const examples of splitByTokens(set.examples, tokenBudget)) {
      throwIfAborted(signal);
      const { targets, examples: rows, ...batch } = buildBatch(examples);
      const losses = await targetLosses(model, { ...batch, targets, examples: rows });
      for (const [row, { task }] of rows.entries()) {
        const own = losses.subarray(targets.offsets[row], targets.offsets[row + 1]);
        const mean = perTask.get(task) ?? new MeanLoss();
        perTask.set(task, mean);
        for (const one of [all, mean]) one.add(own);
      }
      onProgress(all.examples);
    }
    return { all: all.scores(), perTask: new Map([...perTask].map(([task, mean]) => [task, mean.scores()])) };
  }

  /** Scores of what the model answers. */
  private async answers(
    signal: AbortSignal | undefined,
    onProgress: (done: number) => void,
  ): Promise<Answers> {
    const { model, tokenizer, set, settings, maxTokens } = this.parts;
    const { batchSize } = settings;
    const options = { batchSize, signal, onProgress, ...(maxTokens === undefined ? {} : { maxTokens }) };
    const examples: TokenizedExample[] = [...set.examples];
    if (set.templates) {
      const { templates, average } = await evaluateP3(
        { model, tokenizer },
        { examples, templates: set.templates },
        options,
      );
      const perTask = templates.map((one): [string, Partial<ValidationScores>] => [
        p3TaskName(one),
        picked(one),
      ]);
      const all = average === undefined ? {} : { accuracy: average };
      return { all, perTask: new Map(perTask) };
    }
    const { scores } = await evaluateModel({ model, tokenizer }, examples, options);
    const perTask = Object.entries(scores.perTask).map(([task, one]): [string, Partial<ValidationScores>] => [
      task,
      picked(one),
    ]);
    return { all: picked(scores), perTask: new Map(perTask) };
  }
}

interface Answers {
  all: Partial<ValidationScores>;
  perTask: ReadonlyMap<string, Partial<ValidationScores>>;
}

/** The percentages among scores. */
function picked({
  rougeL,
  exactMatch,
  accuracy,
}: Pick<Partial<ValidationScores>, 'rougeL' | 'exactMatch' | 'accuracy'>): Partial<ValidationScores> {
  return {
    ...(rougeL === undefined ? {} : { rougeL }),
    ...(exactMatch === undefined ? {} : { exactMatch }),
    ...(accuracy === undefined ? {} : { accuracy }),
  };
}

class MeanLoss {
  private sum = 0;
  private tokens = 0;
  examples = 0;

  add(losses: Float32Array): void {
    for (const loss of losses) this.sum += loss;
    this.tokens += losses.length;
    this.examples++;
  }

  scores(): ValidationScores {
    return { loss: this.sum / this.tokens, examples: this.examples };
  }
}
