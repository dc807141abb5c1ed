import { hrtime } from 'node:process';
import type { TokenizedExample } from '../../data/batch.js';
import type { Group } from '../../distributed/group.js';
import { parseModelConfig } from '../../model/config/config.js';
import { Device } from '../../tensor/device.js';
import type { CommunicationInterval } from '../../tensor/native.js';
import type { ExampleSource } from '../../training/sources/example-source.js';
import { ADAFACTOR, Optimizer } from '../../training/step/optimizer.js';
import { Trainer, type StepReport } from '../../training/step/trainer.js';
import { randomModel, uniforms } from '../random-model.js';
import { drawBatch } from '../training-examples.js';

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

const Z_LOSS = 1e-4;
const LEARNING_RATE = 1e-3;

/** Training steps of one process, alone or with others, that are taken on demand. */
export class ScalingSteps {
  private constructor(
    private readonly device: Device,
    private readonly ranks: Group | undefined,
    private readonly steps: AsyncGenerator<StepReport, void, undefined>,
  ) {}

  /** Makes a model with random weights, the same at every rank. @throws HintError INVALID_CONFIG, OUT_OF_MEMORY */
  static async create(work: ScalingWork, ranks: Group | undefined): Promise<ScalingSteps> {
    const config = parseModelConfig(work.config);
    const device = new Device({ threads: work.threads });
    const model = await randomModel(device, config);
    const parameters = new Map(model.parameters.storedEntries());
    const group = { name: 'all', parameters, stepOffset: 0, multiplyByParameterScale: true } as const;
    const optimizer = await Optimizer.create(device, ADAFACTOR, [{ ...group, paramDtype: 'f32' }], ranks);
    const source = new DrawnExamples(work, config.hint !== undefined, config.vocabSize);
    const trainer = new Trainer(
      { model, source, optimizer },
      {
        batchSize: work.batchSize,
        tokenBudget: work.tokenBudget,
        schedule: {
          kind: 'constant',
          learningRate: LEARNING_RATE,
          warmupSteps: 0,
          steps: Number.MAX_SAFE_INTEGER,
        },
        firstStep: 0,
        dropout: config.dropoutRate,
        generatorDropout: 0,
        zLoss: Z_LOSS,
        seed: 1,
        backward: 'none',
      },
    );
    // Nothing runs ahead: the next step belongs to another turn.
    return new ScalingSteps(device, ranks, trainer.steps({ settleAt: () => true }));
  }

  /** @throws HintError NUMERIC, OUT_OF_MEMORY, RANK_LOST */
  async step(): Promise<ScalingStep> {
    this.ranks?.takeIntervals(true);
    const begin = now();
    const { value } = await this.steps.next();
    await this.device.synchronize();
    const end = now();
    const { communicationSeconds = 0, exposedSeconds = 0 } = value as StepReport;
    const intervals = this.ranks?.takeIntervals(false) ?? [];
    const timeline = { rank: this.ranks?.rank ?? 0, begin, end, intervals };
    return { seconds: end - begin, communicationSeconds, exposedSeconds, timeline };
  }
}

function now(): number {
  return Number(hrtime.bigint()) / 1e9;
}

/** Batches that are drawn as they are asked for, the same in every process. */
class DrawnExamples implements ExampleSource {
  readonly fingerprint = 'drawn';
  readonly size = undefined;
  readonly state = 0;
  private readonly uniform = uniforms(3);

  constructor(
    private readonly work: ScalingWork,
    private readonly isHint: boolean,
    private readonly vocabSize: number,
  ) {}

  async next(): Promise<readonly TokenizedExample[]> {
    const { batchSize, tasks, part: [index, count] = [0, 1] } = this.work;
    const { hint, plain } = drawBatch(this.uniform, { batchSize, tasks, vocabSize: this.vocabSize });
    const all = this.isHint ? hint : plain;
    return all.slice(Math.floor((index * batchSize) / count), Math.floor(((index + 1) * batchSize) / count));
  }

  restore(): void {
    // Nothing is taken back: no step of a measurement is given up.
  }
}
