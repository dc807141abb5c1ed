import { hrtime } from 'node:process';
import type { TokenizedExample } from '../../data/batch.js';
import type { Group } from '../../distributed/group.js';
import { parseModelConfig, type ModelConfig } from '../../model/config/config.js';
import { Device } from '../../tensor/device.js';
import type { CommunicationInterval } from '../../tensor/native.js';
import { ADAFACTOR, Optimizer } from '../../training/step/optimizer.js';
import { randomModel, uniforms } from '../random-model.js';
import { TrainerSteps } from '../trainer-steps.js';
import { drawBatch } from '../training-examples.js';

import { measureLink, type MeasuredLink } from './link.js';

/** What a process of a measurement trains. */
export interface ScalingWork {
  /** The model's shape as its config.json holds it, with a hypernetwork or without. */
  readonly config: Record<string, unknown>;
  /** Examples of a step. */
  readonly batchSize: number;
  /** Different instructions among them. */
  readonly tasks: number;
  readonly tokenBudget: number;
  readonly threads: number;
  /** Which part of each batch, of how many, the process takes by itself; absent: all of it. */
  readonly part?: readonly [number, number] | undefined;
}

/** A step as one process took it. */
export interface ScalingStep {
  readonly seconds: number;
  readonly communicationSeconds: number;
  readonly exposedSeconds: number;
  /** Memory of the process behind the step, which keeps what a step took. */
  readonly bytes: number;
  readonly timeline: RankTimeline;
}

/** When a process exchanged values in a step, and when it waited for that; it computed in the rest. */
export interface RankTimeline {
  readonly rank: number;
  /** Seconds of a clock that processes of one host share. */
  readonly begin: number;
  readonly end: number;
  readonly intervals: readonly CommunicationInterval[];
}

/** Training steps of one process, alone or with others, that are taken on demand. */
export class ScalingSteps {
  private readonly uniform = uniforms(3);

  private constructor(
    private readonly work: ScalingWork,
    private readonly config: ModelConfig,
    private readonly device: Device,
    private readonly ranks: Group | undefined,
    private readonly steps: TrainerSteps,
  ) {}

  /** Makes a model with random weights, the same at every rank. @throws HintError INVALID_CONFIG, OUT_OF_MEMORY */
  static async create(work: ScalingWork, ranks: Group | undefined): Promise<ScalingSteps> {
    const config = parseModelConfig(work.config);
    const device = new Device({ threads: work.threads });
    const model = await randomModel(device, config);
    const parameters = new Map(model.parameters.storedEntries());
    const group = { name: 'all', parameters, stepOffset: 0, multiplyByParameterScale: true } as const;
    const optimizer = await Optimizer.create(device, ADAFACTOR, [{ ...group, paramDtype: 'f32' }], ranks);
    const steps = new TrainerSteps(model, optimizer, { tokenBudget: work.tokenBudget, backward: 'none' });
    return new ScalingSteps(work, config, device, ranks, steps);
  }

  /** @throws HintError NUMERIC, OUT_OF_MEMORY, RANK_LOST */
  async step(): Promise<ScalingStep> {
    const examples = this.draw();
    this.ranks?.takeIntervals(true);
    const begin = now();
    const { communicationSeconds = 0, exposedSeconds = 0 } = await this.steps.step(examples);
    const end = now();
    const intervals = this.ranks?.takeIntervals(false) ?? [];
    const timeline = { rank: this.ranks?.rank ?? 0, begin, end, intervals };
    const bytes = process.memoryUsage.rss();
    return { seconds: end - begin, communicationSeconds, exposedSeconds, bytes, timeline };
  }

  /** How fast this process and the others exchange values; undefined without others. @throws HintError RANK_LOST, OUT_OF_MEMORY */
  async link(): Promise<MeasuredLink | undefined> {
    return this.ranks && measureLink(this.device, this.ranks);
  }

  /** The same batches in every process, in the same order. */
  private draw(): readonly TokenizedExample[] {
    const { batchSize, tasks, part: [index, count] = [0, 1] } = this.work;
    const { hint, plain } = drawBatch(this.uniform, { batchSize, tasks, vocabSize: this.config.vocabSize });
    const all = this.config.hint ? hint : plain;
    return all.slice(Math.floor((index * batchSize) / count), Math.floor(((index + 1) * batchSize) / count));
  }
}

function now(): number {
  return Number(hrtime.bigint()) / 1e9;
}
