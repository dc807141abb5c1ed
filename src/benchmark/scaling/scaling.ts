import { adaptConfig } from '../../model/checkpoint/checkpoint.js';
import { parameterCount } from '../../model/parameters/parameter-shapes.js';
import type { ModelConfig } from '../../model/config/config.js';
import { HintError } from '../../util/errors.js';
import { describeMoment } from '../machine.js';
import { settingOf } from '../peer-settings.js';
import { uniforms } from '../random-model.js';
import { drawBatch } from '../training-examples.js';
import { alternate, secondsOf } from '../turns.js';
import { startDdp, type DdpPeer } from './ddp-peer.js';
import { EngineProcesses } from './engine-processes.js';
import type { EngineScaling, EngineSystem, ScalingOptions, ScalingPart } from './scaling-run.js';
import type { ScalingAnswer } from './scaling-worker.js';
import { timelineBlocks } from './timeline.js';

/**
 * Strong scaling: the same training steps by one process of one thread, by several ranks of one thread each, and by as many processes
 * that do not know of each other and take a part of the batch each, which is what ranks could reach; beside plain T5 under
 * PyTorch's DistributedDataParallel. All take turns.
 *
 * @throws HintError NOT_SUPPORTED where mpirun, or the engine's library for it, is missing; OUT_OF_MEMORY, ABORTED
 */
export async function measureScaling(options: ScalingOptions): Promise<ScalingPart> {
  const { config, systems, ranks, batchSize, tasks, tokenBudget, rounds, signal, onProgress } = options;
  const moment = await describeMoment();
  const engine = new Map<EngineSystem, Measured>();
  const skipped: Record<string, string> = {};
  let ddp: DdpPeer | undefined;
  const plain = adaptConfig(config, { withoutHint: true });
  try {
    const uniform = uniforms(5);
    const draw = (): ReturnType<typeof drawBatch> =>
      drawBatch(uniform, { batchSize, tasks, vocabSize: config.vocabSize });
    if (systems.includes('ddp')) {
      const started = await startDdp(options, draw()).catch(leftOut);
      if ('skipped' in started) skipped['ddp'] = started.skipped;
      else ddp = started;
      if ('skipped' in started) options.note?.(`ddp is left out: ${started.skipped}`);
    }
    for (const [system, shape] of [
      ['hint', config],
      ['t5', plain],
    ] as const)
      // prettier-ignore
      if (systems.includes(system) && (system === 't5' || config.hint))
        engine.set(system, await Measured.start(shape, options));
    const measurements: Record<string, () => Promise<number>> = {};
    for (const [system, measured] of engine) {
      measurements[`${system} alone`] = () => measured.alone();
      measurements[`${system} together`] = () => measured.together();
      measurements[`${system} apart`] = () => measured.apart();
    }
    if (ddp)
      measurements['ddp'] = (
        (peer) => () =>
          peer.step(draw())
      )(ddp);
    const samples = await alternate([{ measurements }], { rounds, warmUp: true, signal, onProgress });
    return {
      ...moment,
      parameters: { t5: parameterCount(plain), ...(config.hint && { hint: parameterCount(config) }) },
      ...{ ranks, batchSize, tasks, tokenBudget, rounds },
      engine: [...engine].map(([system, measured]) => measured.result(system, rounds)),
      peers: ddp
        ? [
            {
              system: 'ddp',
              together: samples['ddp'] ?? [],
              peer: ddp.description,
              setting: settingOf(ddp.setting),
            },
          ]
        : [],
      skipped,
      samples,
    };
  } finally {
    ddp?.close();
    for (const measured of engine.values()) measured.close();
  }
}

function leftOut(error: unknown): { readonly skipped: string } {
  if (error instanceof HintError && error.code === 'NOT_SUPPORTED') return { skipped: error.message };
  throw error;
}

/** The steps of one system of the engine, those that warm up among them. */
class Measured {
  private readonly steps = {
    alone: [] as ScalingAnswer[],
    together: [] as ScalingAnswer[],
    apart: [] as ScalingAnswer[][],
  };

  private constructor(private readonly processes: EngineProcesses) {}

  static async start(config: ModelConfig, options: ScalingOptions): Promise<Measured> {
    return new Measured(await EngineProcesses.start(config, options));
  }

  async alone(): Promise<number> {
    const step = await this.processes.stepAlone();
    this.steps.alone.push(step);
    return step.seconds;
  }

  async together(): Promise<number> {
    const step = await this.processes.stepTogether();
    this.steps.together.push(step);
    return step.seconds;
  }

  apart(): Promise<number> {
    return secondsOf(async () => this.steps.apart.push(await this.processes.stepApart()));
  }

  result(system: EngineSystem, rounds: number): EngineScaling {
    const [alone, together] = [this.steps.alone.slice(-rounds), this.steps.together.slice(-rounds)];
    return {
      system,
      alone: alone.map(({ seconds }) => seconds),
      together: together.map(({ seconds }) => seconds),
      apart: this.steps.apart.slice(-rounds).map((all) => all.map(({ seconds }) => seconds)),
      communication: together.map(({ communicationSeconds }) => communicationSeconds),
      exposed: together.map(({ exposedSeconds }) => exposedSeconds),
      timeline: timelineBlocks(together.at(-1)?.timelines ?? []),
    };
  }

  close(): void {
    this.processes.close();
  }
}
