import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { removeDirectory, writeDirectoryAtomically } from '../../util/atomic-directory.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { takeLock } from '../../util/lock.js';
import { readError } from '../../util/read-error.js';
import { readJson, readText } from '../../util/read-file.js';
import { dropTemporary, removeAbandoned } from '../../util/temporary.js';
import { makeFolder } from '../../util/write-error.js';
import { readIntactState, writeState, type CheckpointState } from './checkpoint-integrity.js';
import { parseTrainingConfig, type TrainingConfig } from '../config/config.js';
import type { MemoryPlan } from '../memory/memory-plan.js';
import type { SettingChange } from './changes.js';
import { ChangesLog, type ChangesLine } from './changes-log.js';
import { MetricsLog, type MetricsLine, type ValidationLine } from './metrics-log.js';
import { TensorBoardLog } from './tensorboard-log.js';
import type { StepReport } from '../step/trainer.js';
import type { ValidationReport } from '../validation/validator.js';

export type { CheckpointState, MetricsLine, ValidationLine };

/** What best/ says of the validation that it was the model of. */
const BEST_FILE = 'validation.json';

// What versions before temporaries named their process left in the folder of checkpoints.
const UNMARKED_TEMPORARY = /^\.step-\d+\.[0-9a-f]{12}\.tmp$/;

/** A checkpoint that was written to its end and is as it was written. */
export interface Checkpoint {
  readonly step: number;
  readonly path: string;
  readonly state: CheckpointState;
}

/** A checkpoint that cannot be used. */
export interface DamagedCheckpoint {
  readonly step: number;
  readonly path: string;
  /** A sentence. */
  readonly fault: string;
}

/**
 * The files of a training run:
 *
 *     config.json                     the configuration, defaults filled in
 *     memory.json                     what every way to spend memory would take, and the one chosen
 *     metrics.jsonl                   one line per logged step and per validation
 *     tensorboard/                    the same for TensorBoard, where the run is asked for it
 *     changes.jsonl                   what resumed runs were given differently, where they were
 *     checkpoints/step-N/             config.json, model.safetensors, tokenizer, optimizer.safetensors, state.json; where
 *                                     several ranks write, optimizer.safetensors.index.json and a file of each in place of it
 *     model/                          the trained model and its tokenizer
 *     best/                           the model of the best validation, its tokenizer, and validation.json: that validation
 *     lock.json                       the process at work, see `lock`
 *
 * A checkpoint is complete once it has its name; one that a killed process was writing is never seen. Its state.json
 * holds size and SHA-256 of every other file and a checksum of itself.
 */
export class RunDirectory {
  private readonly metrics: MetricsLog;
  private readonly changes: ChangesLog;
  private readonly damaged = new Set<number>();

  constructor(readonly path: string) {
    this.metrics = new MetricsLog(join(path, 'metrics.jsonl'));
    this.changes = new ChangesLog(join(path, 'changes.jsonl'));
  }

  get modelPath(): string {
    return join(this.path, 'model');
  }

  /** Of the model with the best validation. */
  get bestPath(): string {
    return join(this.path, 'best');
  }

  get metricsPath(): string {
    return this.metrics.path;
  }

  private get configPath(): string {
    return join(this.path, 'config.json');
  }

  private get checkpointsPath(): string {
    return join(this.path, 'checkpoints');
  }

  /**
   * Checks, before anything is written, that a new run destroys nothing: no run, model, configuration or metrics lies here.
   * What a run left behind that ended before its first step does not count.
   *
   * @throws HintError INVALID_ARGUMENT naming what lies there
   */
  async checkFree(): Promise<void> {
    if (
      (await this.checkpointSteps()).length > 0 ||
      (await stat(this.metricsPath).catch(() => undefined))?.size
    )
      throw new HintError(
        'INVALID_ARGUMENT',
        `${this.path} holds a training run already; resume it, or give another output directory.`,
      );
    const names = await readdir(this.path).catch(() => [] as string[]);
    const known = names.includes('config.json') ? await this.readConfig().catch(() => undefined) : undefined;
    const foreign = ['config.json', 'memory.json', 'model', 'best', 'model.safetensors'].filter((name) =>
      names.includes(name),
    );
    const isModel = (name: string): boolean => name.startsWith('model') || name === 'best';
    if (foreign.length === 0 || (known && !foreign.some(isModel))) return;
    throw new HintError(
      'INVALID_ARGUMENT',
      `${this.path} holds ${foreign.join(', ')}, which no training run of this engine left there unfinished; give a new output directory.`,
    );
  }

  /** Makes the folders. @throws HintError IO when they cannot be written */
  async make(): Promise<void> {
    await makeFolder(this.checkpointsPath);
  }

  /**
   * Keeps the folder, which has to be there, to this process.
   *
   * @returns gives it back
   * @throws HintError INVALID_ARGUMENT naming the process that works there, IO
   */
  lock(): Promise<() => Promise<void>> {
    return takeLock(join(this.path, 'lock.json'), {
      doing: `training in ${this.path}`,
      instead: 'another output directory',
    });
  }

  /** What lock.json says; undefined where there is none to be seen. */
  async lockText(): Promise<string | undefined> {
    return readText(join(this.path, 'lock.json'), 'the lock of the run').catch(() => undefined);
  }

  /**
   * Begins a run.
   * @throws HintError as {@link checkFree}, IO when the folder cannot be written
   */
  async create(config: TrainingConfig): Promise<void> {
    await this.checkFree();
    await this.make();
    await this.writeConfig(config);
  }

  /** Cleans up what a killed process left behind; only whoever holds the lock may. */
  async clean(): Promise<void> {
    await removeAbandoned(this.path);
    await removeAbandoned(this.checkpointsPath);
    for (const name of await this.checkpointNames())
      if (UNMARKED_TEMPORARY.test(name)) await dropTemporary(join(this.checkpointsPath, name));
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
    const json = await readJson(this.configPath, 'the configuration of the run').catch((cause: unknown) => {
      if (!(cause instanceof HintError) || cause.code !== 'NOT_FOUND') throw cause;
      throw new HintError(
        'NOT_FOUND',
        `${this.path} holds no training run (it has no config.json); give the output directory of one.`,
        { cause },
      );
    });
    return parseTrainingConfig(json, this.configPath);
  }

  /** Tokens of a microbatch as a plan made them; undefined where nothing was planned, or it cannot be read. */
  async plannedTokenBudget(): Promise<number | undefined> {
    try {
      const plan = (await readJson(join(this.path, 'memory.json'), 'the plan')) as { tokenBudget?: unknown };
      return typeof plan.tokenBudget === 'number' ? plan.tokenBudget : undefined;
    } catch {
      return undefined;
    }
  }

  /** Notes what a run has differently from a step on. @throws HintError IO */
  async appendChanges(step: number, changes: readonly SettingChange[]): Promise<void> {
    await this.changes.append(step, changes);
  }

  /** What resumed runs were given differently, in order. @throws HintError IO, LIMIT_EXCEEDED */
  readChanges(): Promise<ChangesLine[]> {
    return this.changes.read();
  }

  /** Adds a line to metrics.jsonl, which it returns. @throws HintError IO */
  appendMetrics(report: StepReport): Promise<MetricsLine> {
    return this.metrics.append(report);
  }

  /** The logged steps; lines that are none of a step, such as one cut off by a kill, are left out. @throws HintError IO */
  readMetrics(): Promise<MetricsLine[]> {
    return this.metrics.read();
  }

  /** Adds the line of a validation to metrics.jsonl, and returns it. @throws HintError IO */
  appendValidation(report: ValidationReport): Promise<ValidationLine> {
    return this.metrics.appendValidation(report);
  }

  /** The validations of the run. @throws HintError IO */
  readValidations(): Promise<ValidationLine[]> {
    return this.metrics.readValidations();
  }

  /**
   * Writes best/ all or nothing.
   *
   * @param write puts the model's files into the folder it is given
   * @param step after which the model was validated
   * @throws HintError IO
   */
  async saveBest(step: number, write: (directory: string) => Promise<void>): Promise<void> {
    const line = (await this.readValidations()).findLast((one) => one.step === step);
    await writeDirectoryAtomically(this.bestPath, async (directory) => {
      await write(directory);
      const content = JSON.stringify({ step, ...line?.validation }, null, 2);
      await writeFileAtomic(join(directory, BEST_FILE), `${content}\n`);
    });
  }

  /** The step that best/ is of; undefined where there is none, or it cannot be read. */
  async bestStep(): Promise<number | undefined> {
    try {
      const found = (await readJson(join(this.bestPath, BEST_FILE), 'the best validation')) as {
        step?: unknown;
      };
      return typeof found.step === 'number' ? found.step : undefined;
    } catch {
      return undefined;
    }
  }

  /** Begins the event file of TensorBoard with what metrics.jsonl has so far. @throws HintError IO */
  async beginTensorBoard(): Promise<TensorBoardLog> {
    const [steps, validations] = [await this.readMetrics(), await this.readValidations()];
    return TensorBoardLog.begin(join(this.path, 'tensorboard'), steps, validations);
  }

  /** Drops the lines of steps and validations behind `step`: a resumed run writes them again. @throws HintError IO */
  truncateMetrics(step: number): Promise<void> {
    return this.metrics.truncate(step);
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
      await writeState(directory, state);
    });
    this.damaged.delete(state.step);
    const saved = (await this.checkpointSteps()).filter((step) => step <= state.step);
    const intact = saved.filter((step) => !this.damaged.has(step));
    const superseded = saved.filter(
      (step) => this.damaged.has(step) || !intact.slice(0, keep).includes(step),
    );
    for (const step of superseded) await removeDirectory(this.checkpointPath(step));
    return path;
  }

  /**
   * The intact checkpoint with the highest step, undefined when there is no checkpoint at all. Damaged ones are no
   * longer counted among those that {@link saveCheckpoint} keeps.
   *
   * @param onDamaged told of each damaged checkpoint that is passed over
   * @throws HintError INVALID_CHECKPOINT when there are checkpoints and none is intact, IO, ABORTED
   */
  async latestCheckpoint(
    onDamaged: (checkpoint: DamagedCheckpoint) => void = () => undefined,
    signal?: AbortSignal,
  ): Promise<Checkpoint | undefined> {
    const faults: string[] = [];
    for (const step of await this.checkpointSteps()) {
      const path = this.checkpointPath(step);
      try {
        return { step, path, state: await readIntactState(path, step, signal) };
      } catch (error) {
        if (!(error instanceof HintError) || error.code === 'ABORTED') throw error;
        this.damaged.add(step);
        faults.push(`${path}: ${error.message}`);
        onDamaged({ step, path, fault: error.message });
      }
    }
    if (faults.length === 0) return undefined;
    throw new HintError(
      'INVALID_CHECKPOINT',
      `Cannot resume ${this.path}: every checkpoint in it is damaged, and nothing was changed. Put one of them back from a copy, or start again with another output directory. ${faults.join(' ')}`,
    );
  }

  /** Steps that have a checkpoint folder, latest first. */
  async checkpointSteps(): Promise<number[]> {
    return (await this.checkpointNames())
      .flatMap((name) => {
        const [, digits] = /^step-(\d+)$/.exec(name) ?? [];
        return digits === undefined ? [] : [Number(digits)];
      })
      .sort((a, b) => b - a);
  }

  private async checkpointNames(): Promise<string[]> {
    return readdir(this.checkpointsPath).catch((cause: unknown) => {
      // Under a file there is no run; whoever writes there is told that.
      if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return [];
      throw readError(this.checkpointsPath, cause);
    });
  }

  /** Where the checkpoint of a step is, or will be. */
  checkpointPath(step: number): string {
    return join(this.checkpointsPath, `step-${step}`);
  }
}
