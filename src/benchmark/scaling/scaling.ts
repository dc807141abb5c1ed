import { adaptConfig } from '../../model/checkpoint/checkpoint.js';
import { parameterCount } from '../../model/parameters/parameter-shapes.js';
import type { ModelConfig } from '../../model/config/config.js';
import { formatBytes } from '../../util/bytes.js';
import { HintError } from '../../util/errors.js';
import { describeMoment } from '../machine.js';
import { settingOf } from '../peer-settings.js';
import { uniforms } from '../random-model.js';
import { drawBatch, type DrawnBatch } from '../training-examples.js';
import { alternate, secondsOf } from '../turns.js';
import { startDdp } from './ddp-peer.js';
import { EngineProcesses } from './engine-processes.js';
import type { MeasuredLink } from './link.js';
import type { EngineScaling, EngineSystem, PeerScaling, ScalingOptions, ScalingPart } from './scaling-run.js';
import type { ScalingAnswer } from './scaling-worker.js';
import { timelineBlocks } from './timeline.js';

/**
 * Strong scaling: the same training steps by one process of one thread, by several ranks of one thread each, and by as many processes
 * that do not know of each other and take a part of the batch each, which is what ranks could reach; beside plain T5 under
 * PyTorch's DistributedDataParallel. What is compared takes turns: first all that trains HINT, then all that trains plain T5, so
 * that the processes of one of them are in memory at a time.
 *
 * @throws HintError NOT_SUPPORTED where mpirun, or the engine's library for it, is missing; OUT_OF_MEMORY, also before the
 *   processes that take turns need more memory than there is; ABORTED
 */
export async function measureScaling(options: ScalingOptions): Promise<ScalingPart> {
  const { config, systems, ranks, batchSize, tasks, tokenBudget, rounds } = options;
  const moment = await describeMoment();
  const plain = adaptConfig(config, { withoutHint: true });
  const hasHint = systems.includes('hint') && config.hint !== undefined;
  const [hasT5, hasDdp] = [systems.includes('t5'), systems.includes('ddp')];
  const turns = [hasHint, hasHint, hasHint, hasT5, hasT5, hasT5, hasDdp].filter(Boolean).length;
  let before = 0;
  const inTurns = async (measurements: Measurements): Promise<Record<string, number[]>> => {
    const samples = await alternate([{ measurements }], {
      ...{ rounds, warmUp: true, signal: options.signal },
      onProgress: (done, _, name) => options.onProgress?.(before + done, turns * (rounds + 1), name),
    });
    before += Object.keys(measurements).length * (rounds + 1);
    return samples;
  };
  const hint = hasHint ? await measureSystem('hint', config, options, inTurns) : undefined;
  const { ddp, skipped } = hasDdp ? await startPeer(options) : { ddp: undefined, skipped: {} };
  try {
    const peer = ddp?.measurements ?? {};
    const t5 = hasT5 ? await measureSystem('t5', plain, options, inTurns, peer) : undefined;
    const samples = { ...hint?.samples, ...(t5 ? t5.samples : ddp ? await inTurns(peer) : {}) };
    return {
      ...moment,
      parameters: { t5: parameterCount(plain), ...(config.hint && { hint: parameterCount(config) }) },
      ...{ ranks, batchSize, tasks, tokenBudget, rounds },
      engine: [hint, t5].flatMap((measured) => measured?.result ?? []),
      peers: ddp ? [ddp.result(samples['ddp'] ?? [])] : [],
      skipped,
      samples,
    };
  } finally {
    ddp?.close();
  }
}

type Measurements = Record<string, () => Promise<number>>;

async function measureSystem(
  system: EngineSystem,
  config: ModelConfig,
  options: ScalingOptions,
  inTurns: (measurements: Measurements) => Promise<Record<string, number[]>>,
  beside: Measurements = {},
): Promise<{ samples: Record<string, number[]>; result: EngineScaling }> {
  const measured = await Measured.start(config, options);
  try {
    const link = await measured.link();
    const samples = await inTurns({
      [`${system} alone`]: () => measured.alone(),
      [`${system} together`]: () => measured.together(),
      [`${system} apart`]: () => measured.apart(),
      ...beside,
    });
    return { samples, result: { ...measured.result(system, options.rounds), link } };
  } finally {
    measured.close();
  }
}

/** The peer, ready to be measured. */
interface MeasuredPeer {
  readonly measurements: Measurements;
  result(together: readonly number[]): PeerScaling;
  close(): void;
}

async function startPeer(
  options: ScalingOptions,
): Promise<{ ddp: MeasuredPeer | undefined; skipped: Record<string, string> }> {
  const { config, batchSize, tasks } = options;
  const uniform = uniforms(5);
  const draw = (): DrawnBatch => drawBatch(uniform, { batchSize, tasks, vocabSize: config.vocabSize });
  const started = await startDdp(options, draw()).catch(leftOut);
  if ('skipped' in started) {
    options.note?.(`ddp is left out: ${started.skipped}`);
    return { ddp: undefined, skipped: { ddp: started.skipped } };
  }
  const { description, setting } = started;
  const ddp: MeasuredPeer = {
    measurements: { ddp: () => started.step(draw()) },
    result: (together) => ({ system: 'ddp', together, peer: description, setting: settingOf(setting) }),
    close: () => started.close(),
  };
  return { ddp, skipped: {} };
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

  private constructor(
    private readonly processes: EngineProcesses,
    private readonly options: ScalingOptions,
  ) {}

  static async start(config: ModelConfig, options: ScalingOptions): Promise<Measured> {
    return new Measured(await EngineProcesses.start(config, options), options);
  }

  link(): Promise<MeasuredLink> {
    return this.processes.link();
  }

  async alone(): Promise<number> {
    const step = await this.processes.stepAlone();
    // Before the others take as much: where memory ends, the system reads programs again and again until it kills one.
    if (this.steps.alone.length === 0) this.requireMemory(step.bytes);
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

  private requireMemory(bytes: number): void {
    const { ranks, batchSize, tasks, availableMemory = () => process.availableMemory() } = this.options;
    const others = 2 * ranks;
    const available = availableMemory();
    if (others * bytes <= available) return;
    throw new HintError(
      'OUT_OF_MEMORY',
      `A step of ${batchSize} examples of ${tasks} tasks took one process ${formatBytes(bytes)}; ${others} more that do so, ${ranks} together and ${ranks} apart, do not fit the ${formatBytes(available)} that are left. Give a smaller --batch, --tasks or --token-budget.`,
    );
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
