import { appendFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HintError } from '../errors.js';
import { writeFileAtomic } from '../util/atomic-file.js';
import { parseJson, readBytes } from '../util/read-file.js';
import { ioError, removeDirectory, removeTemporaries, writeDirectoryAtomically } from './atomic-directory.js';
import { parseTrainingConfig, type TrainingConfig } from './config.js';
import type { MemoryPlan } from './memory-plan.js';
import type { StepReport, TrainerState } from './trainer.js';

/** One line of metrics.jsonl. */
export type MetricsLine = Omit<StepReport, 'settled'> & {
  /** ISO 8601. */
  time: string;
};

const counters = { step: z.int().min(0), tokens: z.int().min(0) };

const stateSchema = z.union([
  z.object({ version: z.literal(2), ...counters, source: z.json(), fingerprint: z.string() }),
  // What runs wrote while examples came from a pool in memory only.
  z
    .object({ version: z.literal(1), ...counters, sampler: z.json(), pool: z.string() })
    .transform(({ sampler, pool, ...rest }) => ({ ...rest, source: sampler, fingerprint: pool })),
]);

/** state.json of a checkpoint. */
export interface CheckpointState extends TrainerState {
  /** That of the examples' source: a resumed run that would draw others is refused. */
  fingerprint: string;
}

/** A checkpoint that was written to its end. */
export interface Checkpoint {
  readonly step: number;
  readonly path: string;
  readonly state: CheckpointState;
}

/**
 * The files of a training run:
 *
 *     config.json                     the configuration, defaults filled in
 *     memory.json                     what every way to spend memory would take, and the one chosen
 *     metrics.jsonl                   one line per logged step
 *     checkpoints/step-N/             config.json, model.safetensors, optimizer.safetensors, state.json
 *     model/                          the trained model and its tokenizer
 *     lock.json                       the process at work, see lockRun
 *
 * A checkpoint is complete once it has its name; one that a killed process was writing is never seen.
 */
export class RunDirectory {
  constructor(readonly path: string) {}

  get modelPath(): string {
    return join(this.path, 'model');
  }

  get metricsPath(): string {
    return join(this.path, 'metrics.jsonl');
  }

  private get configPath(): string {
    return join(this.path, 'config.json');
  }

  private get checkpointsPath(): string {
    return join(this.path, 'checkpoints');
  }

  /** Makes the folders. @throws HintError IO when they cannot be written */
  async make(): Promise<void> {
    try {
      await mkdir(this.checkpointsPath, { recursive: true });
    } catch (cause) {
      throw ioError('make the run directory', this.path, cause);
    }
  }

  /**
   * Begins a run.
   * @throws HintError INVALID_ARGUMENT when there is one already, IO when the folder cannot be written
   */
  async create(config: TrainingConfig): Promise<void> {
    await this.make();
    if ((await this.checkpointSteps()).length > 0 || (await this.readMetrics()).length > 0) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `${this.path} holds a training run already; resume it, or give another output directory.`,
      );
    }
    await this.writeConfig(config);
  }

  /** Cleans up what a killed process left behind. */
  async clean(): Promise<void> {
    await removeTemporaries(this.path);
    await removeTemporaries(this.checkpointsPath);
  }

  async writeConfig(config: TrainingConfig): Promise<void> {
    await writeFileAtomic(this.configPath, `${JSON.stringify(config, null, 2)}\n`);
  }

  /** What a plan of the run's memory came to; its mode is `recompute` of the configuration. @throws HintError IO */
  async writePlan(plan: MemoryPlan): Promise<void> {
    await writeFileAtomic(join(this.path, 'memory.json'), `${JSON.stringify(plan, null, 2)}\n`);
  }

  /** @throws HintError NOT_FOUND when there is no run here, INVALID_JSON, INVALID_CONFIG */
  async readConfig(): Promise<TrainingConfig> {
    const bytes = await readBytes(this.configPath, 'the training run');
    return parseTrainingConfig(
      parseJson(bytes.toString('utf8'), this.configPath, 'the configuration of the run'),
      this.configPath,
    );
  }

  /** Adds a line to metrics.jsonl. @throws HintError IO */
  async appendMetrics(report: StepReport): Promise<void> {
    const line = { ...report, settled: undefined, time: new Date().toISOString() };
    try {
      await appendFile(this.metricsPath, `${JSON.stringify(line)}\n`);
    } catch (cause) {
      throw ioError('write', this.metricsPath, cause);
    }
  }

  /** The logged steps; a last line cut off by a kill is left out. */
  async readMetrics(): Promise<MetricsLine[]> {
    const text = await readFile(this.metricsPath, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => {
      try {
        return [JSON.parse(line) as MetricsLine];
      } catch {
        return [];
      }
    });
  }

  /** Drops the lines of steps behind `step`: a resumed run writes them again. */
  async truncateMetrics(step: number): Promise<void> {
    const kept = (await this.readMetrics()).filter((line) => line.step <= step);
    await writeFileAtomic(this.metricsPath, kept.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  /**
   * Writes a checkpoint atomically, then deletes the oldest beyond `keep`.
   *
   * @param write puts the model's and the optimizer's files into the folder it is given
   * @returns the checkpoint's folder
   * @throws HintError IO; earlier checkpoints are left as they were
   */
  async saveCheckpoint(
    state: CheckpointState,
    keep: number,
    write: (directory: string) => Promise<void>,
  ): Promise<string> {
    const path = this.checkpointPath(state.step);
    await writeDirectoryAtomically(path, async (directory) => {
      await write(directory);
      await writeFileAtomic(
        join(directory, 'state.json'),
        `${JSON.stringify({ version: 2, ...state }, null, 2)}\n`,
      );
    });
    const older = (await this.checkpointSteps()).filter((step) => step <= state.step).slice(keep);
    for (const step of older) await removeDirectory(this.checkpointPath(step));
    return path;
  }

  /** The complete checkpoint with the highest step, undefined when there is none. */
  async latestCheckpoint(): Promise<Checkpoint | undefined> {
    for (const step of await this.checkpointSteps()) {
      const path = this.checkpointPath(step);
      const state = await readState(path);
      if (state?.step === step) return { step, path, state };
    }
    return undefined;
  }

  /** Steps that have a checkpoint folder, latest first. */
  async checkpointSteps(): Promise<number[]> {
    const names = await readdir(this.checkpointsPath).catch(() => [] as string[]);
    return names
      .flatMap((name) => {
        const [, digits] = /^step-(\d+)$/.exec(name) ?? [];
        return digits === undefined ? [] : [Number(digits)];
      })
      .sort((a, b) => b - a);
  }

  private checkpointPath(step: number): string {
    return join(this.checkpointsPath, `step-${step}`);
  }
}

const CHECKPOINT_FILES = ['config.json', 'model.safetensors', 'optimizer.safetensors'];

/** The state of a checkpoint that has all its files; undefined for a damaged one. */
async function readState(path: string): Promise<CheckpointState | undefined> {
  const names = await readdir(path).catch(() => [] as string[]);
  if (!CHECKPOINT_FILES.every((name) => names.includes(name))) return undefined;
  try {
    const file = await readFile(join(path, 'state.json'), 'utf8');
    const { step, source, tokens, fingerprint } = stateSchema.parse(JSON.parse(file));
    return { step, source, tokens, fingerprint };
  } catch {
    return undefined;
  }
}
