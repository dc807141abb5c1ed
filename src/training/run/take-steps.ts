import { join } from 'node:path';
import { writeTokenizer } from '../../formats/tokenizer/files.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { saveStored, type StoredModel } from '../../model/checkpoint/checkpoint.js';
import type { AnyModel } from '../../model/family.js';
import { writeDirectoryAtomically } from '../../util/atomic-directory.js';
import { HintError } from '../../util/errors.js';
import type { DataSettings } from '../config/data-config.js';
import type { ModelSettings } from '../config/model-config.js';
import type {
  BatchSettings,
  CheckpointSettings,
  LengthSettings,
  LogSettings,
  MemorySettings,
} from '../config/parts.js';
import type { UpdateSettings } from '../config/update-config.js';
import { dataMetadata } from '../sources/data-sources.js';
import type { ExampleSource } from '../sources/example-source.js';
import type { Optimizer } from '../step/optimizer.js';
import type { StepReport, Trainer } from '../step/trainer.js';
import type { Validator } from '../validation/validator.js';
import {
  contentOf,
  copyContent,
  copyOwnMoments,
  writeContent,
  type CheckpointContent,
  type MomentShards,
} from './checkpoint.js';
import { progressOf, type TrainOptions } from './events.js';
import { lineageMetadata } from './lineage.js';
import { momentsFile, writeMoments } from './moment-files.js';
import type { RunDirectory } from './run-directory.js';
import { SavesBehind } from './save-behind.js';
import type { TensorBoardLog } from './tensorboard-log.js';

/** How many steps a run takes, what it writes of them and how often, and what its model's file says of it. */
export interface RunSettings
  extends
    ModelSettings,
    DataSettings,
    LengthSettings,
    BatchSettings,
    UpdateSettings,
    MemorySettings,
    CheckpointSettings,
    LogSettings {}

/** A run that is ready to train. */
export interface Run {
  readonly config: RunSettings;
  readonly directory: RunDirectory;
  readonly tokenizer: Tokenizer;
  readonly source: ExampleSource;
  readonly model: AnyModel;
  readonly optimizer: Optimizer;
  readonly trainer: Trainer;
  readonly validator: Validator | undefined;
  readonly tensorBoard: TensorBoardLog | undefined;
  /** Whether all ranks see the folder in which rank 0 writes: each then writes the moments that it has. */
  readonly sharesDisk: boolean;
  /** The latest checkpoint. */
  checkpoint: string | undefined;
}

/** How training went. */
export interface StepsTaken {
  readonly status: 'finished' | 'stopped';
  /** Of the last step that was taken. */
  readonly loss: number | undefined;
  readonly stoppedEarly: boolean;
  /** Sums over its steps; undefined for one process. */
  readonly communication: Communication | undefined;
}

/** What ranks spend on one another, in seconds. */
export interface Communication {
  readonly seconds: number;
  /** Of them, those in which this process computed nothing. */
  readonly exposedSeconds: number;
}

/**
 * Takes the steps that are left, with a line of metrics, a validation and a checkpoint where they are due, and a checkpoint
 * where it stops.
 *
 * @throws HintError what training, validating and saving throw; an abort ends as `stopped`
 */
export async function takeSteps(run: Run, options: TrainOptions): Promise<StepsTaken> {
  return new StepTaker(run, options).take();
}

const LEARN_FOLDER = 'learn where the checkpoint is written';

class StepTaker {
  private loss: number | undefined;
  private communication: Communication | undefined;
  /** What the latest checkpoint holds. */
  private saved: string;
  private hasWarned = false;
  private readonly saves = new SavesBehind();

  constructor(
    private readonly run: Run,
    private readonly options: TrainOptions,
  ) {
    this.saved = this.place;
  }

  async take(): Promise<StepsTaken> {
    try {
      const stoppedEarly = await this.takeAll();
      await this.saves.end();
      return { status: 'finished', ...this.known, stoppedEarly };
    } catch (error) {
      if (!(error instanceof HintError && error.code === 'ABORTED')) throw error;
      await this.save();
      await this.saves.end();
      return { status: 'stopped', ...this.known, stoppedEarly: false };
    } finally {
      // What ends with another error ends no save that is under way.
      await this.saves.end().catch(() => undefined);
    }
  }

  private get known(): Pick<StepsTaken, 'loss' | 'communication'> {
    return { loss: this.loss, communication: this.communication };
  }

  /** @returns whether the run's patience ended it */
  private async takeAll(): Promise<boolean> {
    const { directory, trainer, validator, tensorBoard, config } = this.run;
    const { signal, onEvent } = this.options;
    await this.restoreBest();
    // Where an abort or a kill came between a step and its validation.
    if (this.isValidationDue(trainer.state.step)) await this.validate();
    if (validator?.isExhausted) return this.stopEarly();
    const settleAt = (step: number): boolean =>
      this.isDue(step, config.saveEvery) || this.isValidationDue(step);
    for await (const report of trainer.steps({ signal, settleAt })) {
      this.loss = report.loss;
      this.addCommunication(report);
      this.saves.check();
      if (this.isDue(report.step, config.logEvery) && !isFollower(this.run.optimizer)) {
        const line = await directory.appendMetrics(report);
        await tensorBoard?.addStep(line);
      }
      onEvent?.({ kind: 'step', report, steps: config.steps });
      this.warnOfIdleRanks(report);
      if (!report.settled) continue;
      if (this.isValidationDue(report.step)) await this.validate();
      if (this.isDue(report.step, config.saveEvery)) await this.save();
      if (validator?.isExhausted) return await this.stopEarly();
    }
    return false;
  }

  private addCommunication({ communicationSeconds, exposedSeconds = 0 }: StepReport): void {
    if (communicationSeconds === undefined) return;
    const { seconds, exposedSeconds: exposed } = this.communication ?? { seconds: 0, exposedSeconds: 0 };
    this.communication = {
      seconds: seconds + communicationSeconds,
      exposedSeconds: exposed + exposedSeconds,
    };
  }

  private warnOfIdleRanks({ microbatches, ranks = 1, step, tokens }: StepReport): void {
    if (microbatches >= ranks || this.hasWarned) return;
    this.hasWarned = true;
    const { tokenBudget } = this.run.config;
    this.options.onEvent?.({
      kind: 'warning',
      message: `Step ${step} has ${microbatches} ${microbatches === 1 ? 'microbatch' : 'microbatches'} of at most ${tokenBudget} tokens for ${ranks} ranks, of which ${ranks - microbatches} had nothing to do; a new run with a tokenBudget of ${Math.max(1, Math.floor(tokens / ranks))} or less keeps all of them busy.`,
    });
  }

  private isDue(step: number, every: number): boolean {
    return step % every === 0 || step === this.run.config.steps;
  }

  private isValidationDue(step: number): boolean {
    const { validator } = this.run;
    if (!validator || step === 0 || (validator.state?.step ?? 0) >= step) return false;
    return this.isDue(step, validator.settings.every);
  }

  private async stopEarly(): Promise<boolean> {
    await this.save();
    return this.run.trainer.state.step < this.run.config.steps;
  }

  private async validate(): Promise<void> {
    const { directory, trainer, validator, tensorBoard, optimizer } = this.run;
    if (!validator) return;
    const { signal, onEvent } = this.options;
    // Ranks stop together, at a step.
    const until = optimizer.ranks ? undefined : signal;
    const report = await validator.validate(trainer.state.step, until, progressOf('validate', onEvent));
    if (!isFollower(optimizer)) {
      const line = await directory.appendValidation(report);
      await tensorBoard?.addValidation(line);
    }
    onEvent?.({ kind: 'validation', report });
    if (!report.isBest) return;
    await this.save({ asBest: true });
  }

  /** Writes best/ again where a kill came between a checkpoint and its best/. */
  private async restoreBest(): Promise<void> {
    const { directory, trainer, validator } = this.run;
    const best = validator?.state?.bestStep;
    if (best === undefined) return;
    const written = await directory.bestStep();
    if (written === best) return;
    if (best === trainer.state.step) return this.saveBest();
    const found = written === undefined ? 'is missing' : `is that of step ${written}`;
    this.options.onEvent?.({
      kind: 'warning',
      message: `${directory.bestPath} ${found}, though step ${best} was the best so far; it is written again after the next better validation.`,
    });
  }

  private saveBest(): Promise<void> {
    const { directory, trainer, model, tokenizer } = this.run;
    const metadata = modelMetadata(this.run);
    return directory.saveBest(trainer.state.step, (folder) => writeModel(folder, model, tokenizer, metadata));
  }

  private async save({ asBest = false } = {}): Promise<void> {
    if (this.place === this.saved) return;
    this.saved = this.place;
    const { directory, trainer, model, optimizer } = this.run;
    const { step } = trainer.state;
    const path = directory.checkpointPath(step);
    const tell = (): void => {
      this.run.checkpoint = path;
      this.options.onEvent?.({ kind: 'checkpoint', step, path });
    };
    if (isFollower(optimizer)) {
      await (this.run.sharesDisk ? this.saveShard(optimizer) : optimizer.giveMoments());
      tell();
      return;
    }
    // A copy of one moment is enough memory.
    await this.saves.end();
    const shards = this.shards(optimizer);
    const copy = await copyContent(model, optimizer, shards);
    const writing = this.writing(copy ?? contentOf(model, optimizer, shards), asBest, tell);
    let opened: (folder: string) => void = () => undefined;
    const folder = new Promise<string>((resolve) => (opened = resolve));
    this.saves.begin(() => writing(opened));
    if (shards) {
      // Where there is no folder, the save has failed.
      const path = await Promise.race([folder, this.saves.end().then(() => null)]);
      await optimizer.ranks?.exchange(path, LEARN_FOLDER);
    }
    // What is written from the model itself must not change.
    if (!copy) await this.saves.end();
  }

  /** This rank's moments, into the folder that rank 0 makes a checkpoint of. */
  private async saveShard(optimizer: Optimizer): Promise<void> {
    await this.saves.end();
    const { ranks } = optimizer;
    const copy = await copyOwnMoments(this.run.model, optimizer);
    const [folder] = (await ranks?.exchange<string | null>(null, LEARN_FOLDER)) ?? [];
    const path = join(folder!, momentsFile({ rank: ranks!.rank, ranks: ranks!.size }));
    this.saves.begin(() => writeMoments(path, copy ?? optimizer.ownState(), optimizer.settings.name));
    if (!copy) await this.saves.end();
  }

  private shards(optimizer: Optimizer): MomentShards | undefined {
    const { ranks } = optimizer;
    if (!ranks || ranks.size === 1 || !this.run.sharesDisk) return undefined;
    const owners = optimizer.momentOwners();
    return { rank: ranks.rank, ranks: ranks.size, owners, isLost: () => ranks.isLost };
  }

  /** Writes a checkpoint of this moment from `content`. */
  private writing(
    content: CheckpointContent,
    asBest: boolean,
    tell: () => void,
  ): (onOpened: (folder: string) => void) => Promise<void> {
    const { config, directory, trainer, source, tokenizer, validator } = this.run;
    const validation = validator?.state;
    const state = {
      ...trainer.state,
      fingerprint: source.fingerprint,
      ...(validation ? { validation } : {}),
    };
    const metadata = modelMetadata(this.run);
    return async (onOpened) => {
      await directory.saveCheckpoint(state, config.keepCheckpoints, async (folder) => {
        onOpened(folder);
        await writeContent(folder, content, metadata);
        await writeTokenizer(tokenizer.file, folder);
      });
      tell();
      // Afterwards: where a kill leaves best/ behind the checkpoint, a resumed run has the model to write it from.
      if (asBest)
        await directory.saveBest(state.step, (folder) =>
          writeModel(folder, content.model, tokenizer, metadata),
        );
    };
  }

  /** What a checkpoint of this moment would hold. */
  private get place(): string {
    return `${this.run.trainer.state.step} ${this.run.validator?.state?.step}`;
  }
}

/** Whether another rank writes what there is to write. */
export function isFollower({ ranks }: Optimizer): boolean {
  return ranks !== undefined && ranks.rank > 0;
}

/**
 * Writes the trained model beside its tokenizer: a directory that every other command takes.
 *
 * @throws HintError IO
 */
export async function saveTrainedModel(run: Run): Promise<void> {
  if (isFollower(run.optimizer)) return;
  await writeDirectoryAtomically(run.directory.modelPath, (folder) =>
    writeModel(folder, run.model, run.tokenizer, modelMetadata(run)),
  );
}

async function writeModel(
  folder: string,
  model: StoredModel,
  tokenizer: Tokenizer,
  metadata: Record<string, string>,
): Promise<void> {
  await saveStored(model, folder, { metadata });
  await writeTokenizer(tokenizer.file, folder);
}

/** What a model's file says of how it came about. */
function modelMetadata({ config, optimizer, trainer }: Run): Record<string, string> {
  return {
    system: config.system,
    ...dataMetadata(config.data),
    ...lineageMetadata((config.firstStep ?? 0) + trainer.state.step, optimizer.groups),
  };
}
