import { buildBatch } from '../../data/batch.js';
import { countTokens, splitByTokens } from '../../data/sampling.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { DropoutPlan } from '../../model/trainable/dropout.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import * as ops from '../../tensor/ops.js';
import { checked } from '../../util/arguments.js';
import type { CommunicationTimes } from '../../tensor/native.js';
import type { Sliced } from '../../tensor/slices.js';
import { Gradients } from '../../tensor/tape.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { ExampleSource } from '../sources/example-source.js';
import { accumulateGradients, type LossSums } from './microbatch.js';
import type { Optimizer } from './optimizer.js';
import { learningRateAt } from './schedule.js';
import { dropoutSeed } from './seeds.js';
import { SharedStep, type StepNumbers } from './shared-step.js';
import {
  PARTS,
  SETTINGS,
  STATE,
  STEPS,
  type StepsOptions,
  type TrainerParts,
  type TrainerSettings,
  type TrainerState,
} from './trainer-arguments.js';

/** One finished step. */
export interface StepReport {
  /** Updates of this run, this one included. */
  step: number;
  /** Mean cross entropy per target token, nats, before the update. */
  loss: number;
  /** The same with the z-loss. */
  total: number;
  /** Of this update, as the schedule has it. */
  learningRate: number;
  /** Euclidean norm of all gradients (of the loss summed over tokens), before they are clipped. */
  gradientNorm: number;
  /** Tokens fed: inputs, targets, and instructions as often as they were encoded. */
  tokens: number;
  /** Of them, those that the loss is of. */
  targetTokens: number;
  /** Into how many pieces the batch was cut. */
  microbatches: number;
  /** Tokens fed by this step over its wall time. */
  tokensPerSecond: number;
  /** Batch size over the wall time of this step. */
  examplesPerSecond: number;
  /** On the device, after this step. */
  bytesInUse: number;
  /** The most on the device at once, up to this step. */
  peakBytes: number;
  /** Nothing of a later step is under way: the trainer and its model are exactly as this step left them. */
  settled: boolean;
  /** Processes that took the step together; absent: one. */
  ranks?: number;
  /** Seconds in which this process exchanged values with the others, or waited for them; absent without others. */
  communicationSeconds?: number;
  /** Of them, those in which it computed nothing; absent without others. */
  exposedSeconds?: number;
}

// Most microbatches under way: one runs, and the next is ready. More would only delay stopping.
const RUN_AHEAD = 2;

interface Pending {
  step: number;
  learningRate: number;
  /** Of the microbatches of this process. */
  sums: Promise<LossSums>[];
  /** Of all. */
  numbers: Promise<StepNumbers>;
  /** Of all communication up to its beginning and its end. */
  times: Promise<CommunicationTimes>[];
  tokens: number;
  targetTokens: number;
  started: number;
  /** When the device had its numbers, which may be long before it is reported. */
  done: Promise<number>;
}

/**
 * Mixed-task training (method §2.9) as an async iterator. JavaScript enqueues a step while the device works on the
 * one before; it waits only for losses that are due. The same settings, source and model give the same bits, also
 * across {@link Trainer.state} and {@link Trainer.restore}.
 */
export class Trainer {
  private readonly model: TrainableModel;
  private readonly optimizer: Optimizer;
  private readonly source: ExampleSource;
  private readonly gradients: Gradients;
  private step = 0;
  private tokens = 0;
  private lastDone = 0;
  /** Microbatches that the device has not been seen to finish. */
  private underWay: Promise<unknown>[] = [];
  private lastNumbers: Promise<unknown> = Promise.resolve();
  /** Ranks stop together: a step tells all of them that one was asked to, and none begins the step after the next. */
  private isStopping = false;

  /** As they were given; they never change. */
  readonly settings: TrainerSettings;

  /** @throws HintError INVALID_ARGUMENT */
  constructor(parts: TrainerParts, settings: TrainerSettings) {
    checked(PARTS, parts, 'parts');
    this.settings = checked(SETTINGS, settings, 'settings');
    this.model = parts.model;
    this.optimizer = parts.optimizer;
    this.source = parts.source;
    this.gradients = new Gradients(parts.model.device);
  }

  /** Where the run stands after the last settled step, as a checkpoint keeps it. */
  get state(): TrainerState {
    return { step: this.step, source: this.source.state, tokens: this.tokens };
  }

  /**
   * Goes on from a saved state; model and optimizer are restored by their own.
   * @throws HintError INVALID_CHECKPOINT when the state is not one of this source
   */
  async restore(state: TrainerState): Promise<void> {
    checked(STATE, state, 'state');
    await this.source.restore(state.source);
    this.step = state.step;
    this.tokens = state.tokens;
  }

  /**
   * Trains up to the schedule's last step. Ends early, at a whole step, when `signal` aborts: what is under way is
   * finished and reported, then ABORTED is thrown and {@link Trainer.state} can be saved.
   *
   * @throws HintError NUMERIC when a loss or gradient is no finite number, ABORTED, OUT_OF_MEMORY, INVALID_TOKEN
   */
  async *steps(options: StepsOptions = {}): AsyncGenerator<StepReport, void, undefined> {
    const { signal, settleAt } = checked(STEPS, options, 'options');
    let pending: Pending | undefined;
    try {
      while (this.step < this.settings.schedule.steps) {
        const next = await this.nextStep(signal);
        if (pending) yield await this.report(pending, next === undefined);
        pending = next;
        if (!next) break;
        if (settleAt?.(this.step)) {
          pending = undefined;
          yield await this.report(next, true);
        }
      }
      if (pending) {
        const last = pending;
        pending = undefined;
        yield await this.report(last, true);
      }
      if (this.step < this.settings.schedule.steps) {
        if (this.isStopping) throw new HintError('ABORTED', 'The run was asked to stop.');
        throwIfAborted(signal);
      }
    } finally {
      await Promise.allSettled([...this.underWay, this.lastNumbers]);
      this.underWay = [];
    }
  }

  /** Gives back gradients and all that steps keep between them; model and optimizer stay the caller's. */
  dispose(): void {
    this.gradients.dispose();
  }

  /** The next step, or undefined when aborted, with nothing of the step done. */
  private async nextStep(signal: AbortSignal | undefined): Promise<Pending | undefined> {
    if (this.isStopping) return undefined;
    const before = this.source.state;
    try {
      return await this.enqueueStep(signal);
    } catch (error) {
      await this.source.restore(before);
      if (signal?.aborted && error instanceof HintError && error.code === 'ABORTED') return undefined;
      throw error;
    }
  }

  /** Enqueues forward, backward and update of one step. @throws HintError ABORTED before the model has changed */
  private async enqueueStep(asked: AbortSignal | undefined): Promise<Pending> {
    const { settings, model } = this;
    const { ranks } = this.optimizer;
    // A step that ranks take together is not given up by one of them.
    const signal = ranks ? undefined : asked;
    const examples = await this.source.next(settings.batchSize, signal);
    const step = this.step;
    const pending: Pending = {
      step: step + 1,
      learningRate: learningRateAt(settings.schedule, step),
      sums: [],
      numbers: Promise.reject(new HintError('INTERNAL', 'A step has no numbers yet.')),
      times: ranks ? [handled(ranks.times(model.device))] : [],
      tokens: 0,
      targetTokens: 0,
      started: performance.now(),
      done: Promise.resolve(0),
    };
    handled(pending.numbers);
    this.gradients.reset();
    const parameters = this.optimizer.parameters();
    const microbatches = splitByTokens(examples, settings.tokenBudget);
    const counts = microbatches.map(countTokens);
    const shared =
      ranks &&
      new SharedStep(
        ranks,
        model.device,
        step + 1,
        counts.map(({ tokens }) => tokens),
      );
    const gradientSums = this.optimizer.sums;
    await gradientSums?.begin(step + 1);
    for (const [index, microbatch] of microbatches.entries()) {
      pending.tokens += counts[index]!.tokens;
      pending.targetTokens += counts[index]!.targetTokens;
      if (shared && !shared.isOwn(index)) continue;
      await this.makeRoom();
      throwIfAborted(signal);
      const { sums } = await accumulateGradients(model, buildBatch(microbatch), this.gradients, {
        parameters,
        zLoss: settings.zLoss,
        backward: settings.backward,
        dropout: new DropoutPlan(
          settings.dropout,
          dropoutSeed(settings.seed, step, index),
          settings.generatorDropout,
        ),
        onFinal:
          index === shared?.lastOwn
            ? (parameter) => gradientSums?.isFinal(this.gradients, parameter)
            : undefined,
        onSums: shared && ((crossEntropy, zLoss) => shared.addSums(index, crossEntropy, zLoss)),
      });
      pending.sums.push(sums);
      this.underWay.push(sums);
    }
    if (shared && gradientSums)
      await model.device.inSlices(gradientSums.finish(this.gradients, shared.worker));
    const norm = await model.device.inSlices(this.gradientSquareNorm(this.optimizer.ownParameters()));
    pending.numbers = handled(
      shared ? shared.share(norm, asked?.aborted === true) : numbersOf(pending.sums, norm.item()),
    );
    this.lastNumbers = pending.numbers;
    pending.done = handled(pending.numbers.then(() => performance.now()));
    norm.dispose();
    const clipping = await this.clipping(pending);
    await this.optimizer.apply(this.gradients, {
      ...clipping,
      update: step,
      step: settings.firstStep + step,
      learningRate: pending.learningRate,
      seed: settings.seed,
    });
    if (ranks) pending.times.push(handled(ranks.times(model.device)));
    this.step = step + 1;
    this.tokens += pending.tokens;
    return pending;
  }

  /** What gradients are multiplied with so that they are no longer than allowed. */
  private async clipping({ numbers, targetTokens }: Pending): Promise<{ gradientScale?: number }> {
    const { clipNorm } = this.settings;
    if (clipNorm === undefined) return {};
    const norm = Math.sqrt((await numbers).squareNorm) / targetTokens;
    // A norm that is no number is told when the step is reported.
    return norm > clipNorm && norm < Infinity ? { gradientScale: clipNorm / norm } : {};
  }

  /** Waits until the device is at most one microbatch behind, and gives the event loop its turn. */
  private async makeRoom(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.underWay.length >= RUN_AHEAD) await this.underWay.shift();
  }

  private *gradientSquareNorm(parameters: readonly Tensor[]): Sliced<Tensor> {
    const total = this.model.device.full([1], 0);
    for (const parameter of parameters) {
      const gradient = this.gradients.get(parameter);
      if (gradient) ops.addSquareNorm(gradient, total);
      yield;
    }
    return total;
  }

  private async report(pending: Pending, settled: boolean): Promise<StepReport> {
    // What went wrong here is told before what follows from it.
    await Promise.all(pending.sums);
    const { sums, squareNorm, isStopping } = await pending.numbers;
    this.isStopping ||= isStopping;
    const { ranks } = this.optimizer;
    const crossEntropy = sums.reduce((sum, part) => sum + part.crossEntropy, 0);
    const zLoss = sums.reduce((sum, part) => sum + part.zLoss, 0);
    const gradientNorm = Math.sqrt(squareNorm);
    const loss = crossEntropy / pending.targetTokens;
    const total = (crossEntropy + zLoss) / pending.targetTokens;
    checkFinite(pending, total, gradientNorm);
    const done = await pending.done;
    const seconds = Math.max(1e-6, (done - Math.max(this.lastDone, pending.started)) / 1000);
    this.lastDone = done;
    const { bytesInUse, peakBytesInUse } = this.model.device.statistics();
    return {
      step: pending.step,
      loss,
      total,
      learningRate: pending.learningRate,
      gradientNorm,
      tokens: pending.tokens,
      targetTokens: pending.targetTokens,
      microbatches: sums.length,
      tokensPerSecond: pending.tokens / seconds,
      examplesPerSecond: this.settings.batchSize / seconds,
      bytesInUse,
      peakBytes: peakBytesInUse,
      settled,
      ...(ranks ? { ranks: ranks.size } : {}),
      ...(await communicationOf(pending)),
    };
  }
}

async function communicationOf({ times }: Pending): Promise<Partial<StepReport>> {
  const [before, after] = await Promise.all(times);
  if (!before || !after) return {};
  return {
    communicationSeconds: after.communication - before.communication,
    exposedSeconds: after.exposed - before.exposed,
  };
}

async function numbersOf(
  sums: readonly Promise<LossSums>[],
  squareNorm: Promise<number>,
): Promise<StepNumbers> {
  handled(squareNorm);
  return { sums: await Promise.all(sums), squareNorm: await squareNorm, isStopping: false };
}

/** Whoever awaits a promise gets its error; until then the error is not unhandled. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

function checkFinite(pending: Pending, total: number, gradientNorm: number): void {
  if (Number.isFinite(total) && Number.isFinite(gradientNorm)) return;
  const what = Number.isFinite(total) ? `gradient norm ${gradientNorm}` : `loss ${total}`;
  throw new HintError(
    'NUMERIC',
    `Training diverged: step ${pending.step} has the ${what} at learning rate ${pending.learningRate}. The last checkpoint is intact; lower the learning rate and resume from it.`,
  );
}
