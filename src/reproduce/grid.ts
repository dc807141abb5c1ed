import type { Claim } from './claim.js';
import type { PaperSize } from './paper-size.js';
import type { TrainingConfigInput } from '../training/config/config.js';

/** Accuracies as printed, by the short name of the data set (`T0_DATASETS`). */
export type PrintedDatasets = Readonly<Record<string, number>>;

/** A row that the paper prints of a model that others trained, so that nothing is run for it. */
export interface PrintedRow {
  readonly row: string;
  readonly size: PaperSize;
  readonly score: number;
  readonly datasets: PrintedDatasets;
}

/** Sizes of generated modules that a run asks for; what is left out is as the system or the checkpoint has it. */
export interface ModuleSizes {
  /** Bottleneck of adapters; the paper's 512. Long prefixes and LoRA ranks of Table 5 keep their ratio to it. */
  readonly adapterSize?: number | undefined;
  /** Prefix tokens; the paper's 30. */
  readonly prefixLength?: number | undefined;
}

/** What of the hypernetwork a cell sets, given the sizes asked for and the published size, where it is one. */
export type CellModules = (
  sizes: ModuleSizes,
  size: PaperSize | undefined,
) => NonNullable<TrainingConfigInput['model']['hint']>;

/** One figure of a table: a system in a setting. Training it and evaluating it gives the figure for one seed. */
export interface GridCell {
  readonly row: string;
  readonly column: string;
  readonly system: string;
  /** The objective that its hypernetwork is pretrained with; absent: it is not. */
  readonly pretraining?: 'hint' | 'caclm';
  /** The share of a pretraining's updates that it takes; all of them unless given. */
  readonly pretrainingShare?: number;
  /** The recipe of its training, where it is not that of the data. */
  readonly recipe?: 't0';
  readonly modules?: CellModules;
  /** How instructions are shown: the run's `data` settings. */
  readonly data: { readonly positives?: number; readonly form?: 'joint' | 'split'; readonly shots?: number };
  /** As printed in the paper, where it is known. */
  readonly paper?: Readonly<Partial<Record<PaperSize, number>>>;
  /** The same for each data set that it is a mean of. */
  readonly paperDatasets?: Readonly<Partial<Record<PaperSize, PrintedDatasets>>>;
}

/**
 * How the scores of a grid are told: by `settings`, a figure a cell; over counted `flops`; by `datasets`, of which a score is the mean; by
 * `prompts`, of which that of a data set is the mean.
 */
export type GridView = 'settings' | 'flops' | 'datasets' | 'prompts';

/** A table of the paper as cells to be run. */
export interface Grid {
  readonly name: string;
  /** Without the data, which a report adds. */
  readonly title: string;
  readonly dataset: 'sni' | 'p3';
  readonly metric: 'RougeL' | 'accuracy';
  readonly cells: readonly GridCell[];
  readonly claims: readonly Claim[];
  /** Whether pretraining is what it compares, so that it cannot be left out. */
  readonly comparesPretraining?: boolean;
  /** Default `settings`. */
  readonly view?: GridView;
  /** The row that others are compared with; the first one unless given. */
  readonly reference?: string;
  readonly printedRows?: readonly PrintedRow[];
}

/** Keeps what is set: options that are absent are left to the system. */
function given<T extends object>(options: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

const PAPER_ADAPTER = 512;

/** Adapters and prefixes. */
export const adaptersAndPrefixes: CellModules = ({ adapterSize, prefixLength }) =>
  given({ adapterSize, prefixLength });

export const adapters: CellModules = ({ adapterSize }) => given({ adapterSize });

export const prefixes: CellModules = ({ prefixLength }) => given({ prefixLength });

/** Prefixes as long as adapters are wide. */
export const longPrefixes: CellModules = ({ adapterSize = PAPER_ADAPTER }) => ({ prefixLength: adapterSize });

/** A quarter of the adapters' width: the paper's 128. */
export const lora: CellModules = ({ adapterSize = PAPER_ADAPTER }) => ({
  loraRanks: Math.max(1, Math.round(adapterSize / 4)),
});

/** A rank as large as adapters are wide. */
export const wideLora: CellModules = ({ adapterSize = PAPER_ADAPTER }) => ({ loraRanks: adapterSize });

/** The paper's figures for the three sizes; undefined where it has none. */
export function printed(
  base: number | undefined,
  xl: number | undefined,
  xxl: number | undefined,
): Partial<Record<PaperSize, number>> {
  return given({ '250M': base, '3B': xl, '11B': xxl });
}
