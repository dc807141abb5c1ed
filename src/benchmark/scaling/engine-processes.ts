import { serializeModelConfig, type ModelConfig } from '../../model/config/config.js';
import { workerScript } from '../../util/worker-script.js';
import { PeerProcess } from '../peer-process.js';
import type { MeasuredLink } from './link.js';
import type { ScalingAnswer } from './scaling-worker.js';
import type { ScalingOptions } from './scaling-run.js';

/** As root, and with more ranks than cores, mpirun wants to be asked. */
const MPIRUN = ['--oversubscribe', '--bind-to', 'none'];

/** Processes of this engine that train one system: alone, together, and apart from each other. */
export class EngineProcesses {
  private constructor(
    private readonly options: ScalingOptions,
    private readonly alone: PeerProcess,
    private readonly together: PeerProcess,
    private readonly apart: readonly PeerProcess[],
  ) {}

  /** @throws HintError NOT_SUPPORTED where mpirun or the library for it is missing, naming it */
  static async start(config: ModelConfig, options: ScalingOptions): Promise<EngineProcesses> {
    const script = workerScript('scaling');
    const { ranks, batchSize, tasks, tokenBudget, signal } = options;
    const one = (): PeerProcess => new PeerProcess('A process of this engine', process.execPath, [script]);
    const root = process.getuid?.() === 0 ? ['--allow-run-as-root'] : [];
    const words = [...root, ...MPIRUN, '-n', String(ranks), process.execPath, script];
    const processes = new EngineProcesses(
      options,
      one(),
      new PeerProcess(`A run of ${ranks} ranks under mpirun`, 'mpirun', words),
      Array.from({ length: ranks }, one),
    );
    const work = {
      do: 'load',
      config: serializeModelConfig({ ...config, eosTokenId: 1 }),
      ...{ batchSize, tasks, tokenBudget, threads: 1 },
    };
    try {
      await processes.together.ask(work, signal);
      await processes.alone.ask(work, signal);
      for (const [i, process] of processes.apart.entries())
        await process.ask({ ...work, part: [i, ranks] }, signal);
      return processes;
    } catch (error) {
      processes.close();
      throw error;
    }
  }

  /** How fast the ranks exchange values. */
  async link(): Promise<MeasuredLink> {
    return (await this.together.ask<{ link: MeasuredLink }>({ do: 'link' }, this.options.signal)).link;
  }

  stepAlone(): Promise<ScalingAnswer> {
    return this.step(this.alone);
  }

  stepTogether(): Promise<ScalingAnswer> {
    return this.step(this.together);
  }

  /** All at the same time. */
  stepApart(): Promise<ScalingAnswer[]> {
    return Promise.all(this.apart.map((process) => this.step(process)));
  }

  private step(process: PeerProcess): Promise<ScalingAnswer> {
    return process.ask<ScalingAnswer>({ do: 'step' }, this.options.signal);
  }

  close(): void {
    for (const process of [this.alone, this.together, ...this.apart]) process.close();
  }
}
