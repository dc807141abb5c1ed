import type { TokenizedExample } from '../data/batch.js';
import type { BackwardPlan } from '../model/memory/backward-plan.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import type { ExampleSource } from '../training/sources/example-source.js';
import type { Optimizer } from '../training/step/optimizer.js';
import { Trainer, type StepReport } from '../training/step/trainer.js';

/** How steps are taken. */
export interface TrainerStepSettings {
  /** Most tokens of a microbatch. */
  readonly tokenBudget: number;
  readonly backward: BackwardPlan;
}

const Z_LOSS = 1e-4;
const LEARNING_RATE = 1e-3;

/** Steps of a {@link Trainer}, of one process or of several ranks, each on the examples that it is asked with. */
export class TrainerSteps {
  private readonly source = new GivenExamples();
  private readonly steps: AsyncGenerator<StepReport, void, undefined>;

  constructor(
    private readonly model: EncoderDecoderModel,
    optimizer: Optimizer,
    { tokenBudget, backward }: TrainerStepSettings,
  ) {
    const trainer = new Trainer(
      { model, source: this.source, optimizer },
      {
        // Whatever it is, the source gives what it has.
        batchSize: 1,
        tokenBudget,
        schedule: {
          kind: 'constant',
          learningRate: LEARNING_RATE,
          warmupSteps: 0,
          steps: Number.MAX_SAFE_INTEGER,
        },
        firstStep: 0,
        dropout: model.config.dropoutRate,
        generatorDropout: 0,
        zLoss: Z_LOSS,
        seed: 1,
        backward,
      },
    );
    // Nothing runs ahead: the next step belongs to another turn.
    this.steps = trainer.steps({ settleAt: () => true });
  }

  /**
   * Takes a step to its end.
   *
   * @param examples of all ranks, the same at each
   * @throws HintError NUMERIC, OUT_OF_MEMORY, RANK_LOST
   */
  async step(examples: readonly TokenizedExample[]): Promise<StepReport> {
    this.source.examples = examples;
    const { value } = await this.steps.next();
    await this.model.device.synchronize();
    return value as StepReport;
  }
}

class GivenExamples implements ExampleSource {
  readonly fingerprint = 'given';
  readonly size = undefined;
  readonly state = 0;
  examples: readonly TokenizedExample[] = [];

  async next(): Promise<readonly TokenizedExample[]> {
    return this.examples;
  }

  restore(): void {
    // Nothing is taken back: no step of a measurement is given up.
  }
}
