import { HintError } from '../util/errors.js';
import type { ModelConfig } from '../model/config/config.js';
import { attentionWidth } from '../model/modules/adaptations.js';
import { modelOfSize } from '../model/config/sizes.js';
import { PAPER_CELLS, type PaperCell } from './paper-cells.js';
import {
  paperFlopsDecoderOnly,
  paperFlopsHint,
  paperFlopsWithInstruction,
  paperGeneratedParameters,
  paperGeneratedPrefixes,
  paperGenerationFlops,
  type PaperLengths,
  type PaperShape,
} from './paper-costs.js';

/** Systems whose cost the paper states, each with its formula (method §9.3). */
export type PaperSystem =
  'tk-instruct' | 'tk-instruct+peft' | 'no-instruct' | 'hypter' | 'hypertune' | 'hint' | 'decoder-only';

/** The formulas in words: n inputs of i tokens with o of output, t of instruction, N parameters. */
export const PAPER_FORMULAS: Readonly<Record<PaperSystem, string>> = {
  'tk-instruct': 'n N (f + o)',
  'tk-instruct+peft': 'n (N + A) (f + o)',
  'no-instruct': 'n N (i + o)',
  hypter: 't N + n (N + A) (i + o)',
  hypertune: 't (N + N/2) + n (N + 60 l h k) (i + o)',
  hint: 't N + G + n (N + A) (i + o)',
  'decoder-only': '2 N (t + n (i + o))',
};

/** Medians of Table 7 and n: f is the median of instruction and instance together, not t + i. */
export const PAPER_LENGTHS = {
  examples: 100,
  sni: {
    instance: 44,
    output: 1,
    def: { instruction: 69, full: 133 },
    twoPositive: { instruction: 197, full: 199 },
  },
  p3: { instance: 81, output: 6, prompt: { instruction: 24, full: 103 } },
  /** Tokens that a P3 shot adds to the instruction (Table 3). */
  tokensPerShot: 81,
} as const;

/** Lengths that the tables are counted with: those of the paper, or of other data. */
export interface TableLengths {
  /** n: inputs of a task. */
  readonly examples: number;
  /** Of Table 1; undefined where the data are none of instructions. */
  readonly sni?: {
    readonly instance: number;
    readonly output: number;
    readonly def: { readonly instruction: number; readonly full: number };
    /** Undefined where it was not measured. */
    readonly twoPositive?: { readonly instruction: number; readonly full: number } | undefined;
  };
  /** Of Tables 2, 3 and 9; undefined where the data are no prompts. */
  readonly p3?: {
    readonly instance: number;
    readonly output: number;
    readonly prompt: { readonly instruction: number; readonly full: number };
  };
  /** Tokens that a P3 shot adds to the instruction; without them Table 3 is left out. */
  readonly tokensPerShot?: number;
}

/** Sizes by the paper's names. Those of T5 have the shape from which A and G are counted. */
const NOMINAL: Readonly<Record<string, { readonly parameters: number; readonly shape?: PaperShape }>> = {
  '250M': { parameters: 2.5e8, shape: paperShape(modelOfSize('base')) },
  '1.5B': { parameters: 1.5e9 },
  '3B': { parameters: 3e9, shape: paperShape(modelOfSize('xl')) },
  '11B': { parameters: 11e9, shape: paperShape(modelOfSize('xxl')) },
  '13B': { parameters: 13e9 },
};

/** The parameters that the paper's tables count a T5 size as; undefined for sizes it does not name. */
export function nominalParameters(size: string): number | undefined {
  const name = { base: '250M', xl: '3B', xxl: '11B' }[size];
  return name === undefined ? undefined : nominal(name).parameters;
}

/** A printed cell with the value that the paper's conventions give. */
export interface ReproducedCell extends PaperCell {
  readonly computed: number;
  readonly formula: string;
  /** Whether `computed` lies within the tolerance; null where no stated formula gives the figure. */
  readonly within: boolean | null;
}

/** Token counts of a system: f for systems that read the instruction with every input. */
export interface SystemLengths extends Omit<PaperLengths, 'instruction'> {
  /** t: tokens read once per task. */
  readonly instruction: number;
  /** f: instruction and input together, as the T5 systems read them. */
  readonly full: number;
}

/** The sizes of a T5 model that the formulas use. */
export function paperShape(config: ModelConfig): PaperShape {
  return {
    width: config.dModel,
    attentionWidth: attentionWidth(config),
    encoderLayers: config.numLayers,
    decoderLayers: config.numDecoderLayers,
  };
}

/**
 * FLOPs of a system by the paper's formula, in its unit: one per parameter and token.
 *
 * @param size parameters, and the shape where modules are generated
 * @param kappa see {@link paperGenerationFlops}
 */
export function paperFlops(
  system: PaperSystem,
  size: { readonly parameters: number; readonly shape?: PaperShape },
  { instruction, full, input, output, examples }: SystemLengths,
  kappa = 3,
): number {
  const { parameters: model } = size;
  const lengths = { instruction, input, output, examples };
  const reads = (parameters: number, tokens: number): number =>
    paperFlopsWithInstruction(parameters, { instruction: 0, input: tokens, output, examples });
  const adapted = size.shape ? paperGeneratedParameters(size.shape) : 0;
  switch (system) {
    case 'tk-instruct':
      return reads(model, full);
    case 'tk-instruct+peft':
      return reads(model + adapted, full);
    case 'no-instruct':
      return reads(model, input);
    case 'hypter':
      return paperFlopsHint({ model, hypernetwork: 0, generated: adapted }, lengths);
    case 'hypertune': {
      const generated = size.shape ? paperGeneratedPrefixes(size.shape) : 0;
      return paperFlopsHint({ model, hypernetwork: model / 2, generated }, lengths);
    }
    case 'hint': {
      const generation = size.shape ? paperGenerationFlops(size.shape, kappa) : 0;
      return generation + paperFlopsHint({ model, hypernetwork: 0, generated: adapted }, lengths);
    }
    case 'decoder-only':
      return paperFlopsDecoderOnly(model, lengths);
  }
}

/** The cost that is 1.0 in Table 1: Tk-Instruct of 250M parameters that reads the definition alone. */
export const SNI_BASELINE = sniBaseline(PAPER_LENGTHS.sni, PAPER_LENGTHS.examples);

function sniBaseline({ instance, output, def }: NonNullable<TableLengths['sni']>, examples: number): number {
  return paperFlops('tk-instruct', nominal('250M'), { input: instance, output, examples, ...def });
}

/**
 * Every relative-FLOPs cell of Tables 1, 2, 9 and 3 by the stated conventions, beside the printed figure.
 *
 * @param kappa matrices of d × d that a component vector passes in the hypernetwork
 */
export function reproducePaperTables(kappa = 3): ReproducedCell[] {
  return paperTablesWith(PAPER_LENGTHS, kappa).map((cell) => {
    const { value, computed, toleranceAbs, toleranceRel } = cell;
    const tolerance = toleranceAbs ?? (toleranceRel === null ? null : toleranceRel * value);
    // The allowance covers the rounding error of adding a decimal and a tolerance.
    const within = tolerance === null ? null : Math.abs(computed - value) <= tolerance + 1e-9;
    return { ...cell, within };
  });
}

/**
 * The cells of the paper's tables as they would be with other lengths, by the same formulas. Those for which there are no
 * lengths are left out.
 *
 * @param kappa as in {@link reproducePaperTables}
 */
export function paperTablesWith(lengths: TableLengths, kappa = 3): Omit<ReproducedCell, 'within'>[] {
  return PAPER_CELLS.flatMap((cell) => {
    const counted = countCell(cell, lengths, kappa);
    return counted ? [{ ...cell, ...counted }] : [];
  });
}

function nominal(name: string): { readonly parameters: number; readonly shape?: PaperShape } {
  const size = NOMINAL[name];
  if (size) return size;
  throw new HintError('INTERNAL', `The paper's tables name a model of ${name}, whose size is not known.`);
}

const TABLE_1_SYSTEMS: readonly (readonly [RegExp, PaperSystem])[] = [
  [/^Tk-Instruct \+ PEFT/, 'tk-instruct+peft'],
  [/^Tk-Instruct/, 'tk-instruct'],
  [/^No-Instruct/, 'no-instruct'],
  [/^Hypter/, 'hypter'],
  [/^HyperTune/, 'hypertune'],
  [/^HINT/, 'hint'],
  [/^(GPT-2|OPT)/, 'decoder-only'],
];

/** P3 is run at 3B. Joint systems read the prompt in the input too; Split ones and No Prompt the instance alone. */
const P3_SYSTEMS: Readonly<Record<string, readonly [PaperSystem, 'joint' | 'split']>> = {
  'T0-3B': ['tk-instruct', 'joint'],
  'T0-3B (our replication)': ['tk-instruct', 'joint'],
  'T0-3B + PEFT': ['tk-instruct+peft', 'joint'],
  'No Prompt': ['no-instruct', 'split'],
  'Hypter (Joint)': ['hypter', 'joint'],
  'HINT (Joint)': ['hint', 'joint'],
  'Hypter (Split)': ['hypter', 'split'],
  'HINT (Split)': ['hint', 'split'],
};

interface CountedCell {
  readonly computed: number;
  readonly formula: string;
}

function countCell(cell: PaperCell, lengths: TableLengths, kappa: number): CountedCell | undefined {
  if (cell.table === 1) return sniCell(cell, lengths, kappa);
  return cell.table === 3 ? fewShotCell(cell, lengths) : p3Cell(cell, lengths, kappa);
}

function sniCell(
  { row, column }: PaperCell,
  { sni, examples }: TableLengths,
  kappa: number,
): CountedCell | undefined {
  const system = TABLE_1_SYSTEMS.find(([pattern]) => pattern.test(row))?.[1];
  if (!system) throw unknownRow(row);
  const instruction = column.startsWith('Def + 2 Pos') ? sni?.twoPositive : sni?.def;
  if (!sni || !instruction) return undefined;
  const size = nominal(row.split(' ').at(-1) as string);
  const run = { input: sni.instance, output: sni.output, examples, ...instruction };
  const computed = paperFlops(system, size, run, kappa) / sniBaseline(sni, examples);
  return { computed, formula: PAPER_FORMULAS[system] };
}

function p3Cell({ row }: PaperCell, { p3, examples }: TableLengths, kappa: number): CountedCell | undefined {
  const known = P3_SYSTEMS[row];
  if (!known) throw unknownRow(row);
  if (!p3) return undefined;
  const [system, how] = known;
  const { instance, output, prompt } = p3;
  const run = { input: instance, output, examples, ...prompt };
  const read = { ...run, input: how === 'joint' ? prompt.full : instance };
  const computed =
    paperFlops(system, nominal('3B'), read, kappa) / paperFlops('tk-instruct', nominal('3B'), run);
  return { computed, formula: PAPER_FORMULAS[system] };
}

/** Table 3: n (t + i) / (t + n i), paper §3.3 without outputs, t being the prompt and its shots. */
function fewShotCell(
  { row }: PaperCell,
  { p3, examples, tokensPerShot }: TableLengths,
): CountedCell | undefined {
  if (!p3 || tokensPerShot === undefined) return undefined;
  const t = p3.prompt.instruction + tokensPerShot * Number.parseInt(row, 10);
  const computed = (examples * (t + p3.instance)) / (t + examples * p3.instance);
  return { computed, formula: 'n (t + i) / (t + n i)' };
}

function unknownRow(row: string): HintError {
  return new HintError('INTERNAL', `The paper's tables have a row ${JSON.stringify(row)} without a formula.`);
}
