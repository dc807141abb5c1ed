import type { TrainingConfigInput } from '../training/config/config.js';
import type { ModuleSizes } from './grid.js';

/** A T5 that cells start from. */
export interface StartingModel {
  /** What it is called in the results. */
  readonly label: string;
  readonly init: TrainingConfigInput['model']['init'];
  /** Folder or file of its tokenizer.json; a directory brings its own. */
  readonly tokenizer?: string | undefined;
}

/** How a cell is evaluated. */
export interface EvaluationSettings {
  /** Instances of each test task, or of each P3 template. */
  readonly instances: number;
  readonly maxTokens: number;
  readonly batchSize: number;
}

/** What a user says about a reproduction; everything else is the paper's. */
export interface ReproduceSettings {
  /** A Super-NaturalInstructions checkout, or a P3 directory, as the table needs. */
  readonly data: string;
  /** What results call the data; the name of its folder unless given. */
  readonly dataName?: string | undefined;
  /** Files, folders and patterns to pretrain hypernetworks on. */
  readonly text: readonly string[];
  readonly models: readonly StartingModel[];
  /** What the rows of decoder-only baselines start from, by family; a row without is left out. */
  readonly decoders?: Readonly<Record<string, StartingModel>> | undefined;
  readonly seeds: readonly number[];
  /** Updates of fine-tuning; the recipe's unless given. */
  readonly steps?: number | undefined;
  /** Updates of pretraining; 0 leaves it out. The paper's 10,000 unless given. */
  readonly pretrainSteps?: number | undefined;
  readonly sizes: ModuleSizes;
  /** Settings over those of every fine-tuning, and of every pretraining. */
  readonly training: object;
  readonly pretraining: object;
  /** Settings over those of decoder-only models, beside what `training` says of batches, data and such. */
  readonly decoderTraining?: object | undefined;
  readonly evaluation: EvaluationSettings;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  /** Where everything is written. Tables in one place share the cells and pretrainings they have in common. */
  readonly output: string;
}
