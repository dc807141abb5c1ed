import { buildBatch, type TokenizedExample } from '../data/batch.js';
import { splitByTokens } from '../data/sampling.js';
import { HintError } from '../util/errors.js';
import type { Group } from '../distributed/group.js';
import { usefulFlops } from '../accounting/training-flops.js';
import type { BackwardPlan } from '../model/memory/backward-plan.js';
import { DropoutPlan } from '../model/trainable/dropout.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import type { Device } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import type { FloatDType } from '../tensor/ops.js';
import { Gradients } from '../tensor/tape.js';
import type { Tensor } from '../tensor/tensor.js';
import { accumulateGradients } from '../training/step/microbatch.js';
import { ADAFACTOR, Optimizer } from '../training/step/optimizer.js';
import { keepParameters } from '../training/step/param-dtype.js';
import type { OptimizerGroup } from '../training/step/parameter-groups.js';
import { watchEventLoopLag } from '../util/event-loop-lag.js';
import { threadCpuSeconds } from '../util/thread-cpu.js';
import { TrainerSteps } from './trainer-steps.js';
import { secondsOf } from './turns.js';

/** How an engine trains. */
export interface StepSettings {
  /** Most tokens of a microbatch. */
  readonly tokenBudget: number;
  readonly computeDtype: FloatDType;
  /** The dtype in which matrices are kept; bf16 is rounded stochastically. */
  readonly paramDtype: FloatDType;
  /** What the backward pass runs again. */
  readonly backward: BackwardPlan;
}

/** Observations of an engine's steps, in their order. */
export interface ObservedSteps {
  /** Useful FLOPs, without work that is computed again. */
  readonly flops: number[];
  /** Most tensor memory of all steps, bytes. */
  peakBytes: number;
  /** The worst p99 of all steps, milliseconds. */
  lagP99: number;
}

const Z_LOSS = 1e-4;
const LEARNING_RATE = 1e-3;
const ROOF_SIDE = { cpu: 2048, cuda: 8192 } as const;
const ROOF_TRIES = 3;

/**
 * Training steps of one model: forward and backward pass of every microbatch, then an Adafactor update of every
 * parameter. Ranks take each step together.
 */
export class EngineSteps {
  readonly observed: ObservedSteps = { flops: [], peakBytes: 0, lagP99: 0 };
  /** CPU seconds of the calling thread for the last step. */
  cpuSeconds = 0;
  private readonly gradients: Gradients;
  private update = 0;
  private readonly together: TrainerSteps | undefined;

  private constructor(
    private readonly model: EncoderDecoderModel,
    private readonly optimizer: Optimizer,
    private readonly settings: StepSettings,
    private readonly ranks: Group | undefined,
  ) {
    this.gradients = new Gradients(model.device);
    this.together = ranks && new TrainerSteps(model, optimizer, settings);
  }

  /** Keeps the model's parameters as the settings say, and starts an optimizer of them all. */
  static async create(
    model: EncoderDecoderModel,
    settings: StepSettings,
    ranks?: Group,
  ): Promise<EngineSteps> {
    const { device, parameters } = model;
    const { computeDtype, paramDtype } = settings;
    parameters.computeDtype = computeDtype;
    const all: OptimizerGroup = {
      name: 'all',
      parameters: new Map(parameters.storedEntries()),
      stepOffset: 0,
      multiplyByParameterScale: true,
      paramDtype,
      ...(paramDtype === 'bf16' && { paramRounding: 'stochastic' }),
    };
    const groups = await device.inSlices(keepParameters(parameters, [all], paramDtype));
    const optimizer = await Optimizer.create(device, ADAFACTOR, groups, ranks);
    return new EngineSteps(model, optimizer, settings, ranks);
  }

  /**
   * @param examples of all ranks, the same at each
   * @returns seconds of one step
   * @throws HintError NUMERIC when the loss is no number, OUT_OF_MEMORY, RANK_LOST
   */
  async step(examples: readonly TokenizedExample[]): Promise<number> {
    const { device } = this.model;
    await device.synchronize();
    // One that is late would be waited for within the step.
    await this.ranks?.exchange(null, 'begin a measured step');
    device.resetPeakMemory();
    const endWatch = watchEventLoopLag();
    const cpuBefore = threadCpuSeconds();
    const seconds = await secondsOf(() => this.train(examples));
    this.cpuSeconds = threadCpuSeconds() - cpuBefore;
    const { p99 } = endWatch();
    const after = device.statistics();
    this.observed.flops.push(usefulFlops(this.model.config, buildBatch(examples)));
    this.observed.peakBytes = Math.max(this.observed.peakBytes, after.peakBytesInUse);
    this.observed.lagP99 = Math.max(this.observed.lagP99, p99);
    return seconds;
  }

  private async train(examples: readonly TokenizedExample[]): Promise<void> {
    if (this.together) {
      await this.together.step(examples);
      return;
    }
    const { model, gradients, optimizer, update, settings } = this;
    const { dropoutRate } = model.config;
    const losses = [];
    for (const [index, microbatch] of splitByTokens(examples, settings.tokenBudget).entries()) {
      const batch = buildBatch(microbatch);
      const { sums } = await accumulateGradients(model, batch, gradients, {
        parameters: optimizer.parameters(),
        zLoss: Z_LOSS,
        dropout: new DropoutPlan(dropoutRate, update * examples.length + index),
        backward: settings.backward,
      });
      losses.push(sums);
    }
    await optimizer.apply(gradients, { update, step: update, learningRate: LEARNING_RATE });
    gradients.reset();
    this.update++;
    const sums = await Promise.all(losses);
    await model.device.synchronize();
    if (sums.every(({ crossEntropy }) => Number.isFinite(crossEntropy))) return;
    throw new HintError('NUMERIC', `The loss of measured step ${update} is no finite number.`);
  }
}

/** A large square matrix product in `dtype`: each call gives the seconds of the fastest of three, per FLOP. */
export function matrixRoof(
  device: Device,
  dtype: FloatDType,
  side: number = ROOF_SIDE[device.kind],
): () => Promise<number> {
  return async () => {
    const [a, b] = [0.5, 0.25].map((value) => {
      const exact = device.full([side, side], value);
      if (dtype === 'f32') return exact;
      const rounded = ops.cast(exact, dtype);
      exact.dispose();
      return rounded;
    }) as [Tensor, Tensor];
    let best = Infinity;
    for (let i = 0; i < ROOF_TRIES; i++) {
      await device.synchronize();
      const seconds = await secondsOf(() => {
        device.tidy(() => void ops.linear(a, b));
        return device.synchronize();
      });
      best = Math.min(best, seconds / (2 * side ** 3));
    }
    for (const tensor of [a, b]) tensor.dispose();
    return best;
  };
}
