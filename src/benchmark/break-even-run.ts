import type { CheaperInputs } from '../accounting/break-even.js';
import type { WeightDType } from '../tensor/ops.js';

/** What HINT is compared with: plain T5, which reads the instruction with every input, and a decoder-only model that keeps it. */
export const OTHER_SYSTEMS = ['t5', 'decoder'] as const;
export type OtherSystem = (typeof OTHER_SYSTEMS)[number];
/** The systems whose costs are compared. */
export type ComparedSystem = 'hint' | OtherSystem;

/** Inputs of a task for which a break-even in shots is told. */
export const TOLD_INPUTS = [1, 10, 100, 1000] as const;
/** Numbers of shots up to which FLOPs are counted. */
export const COUNTED_SHOTS = 100;

/** By which cost: seconds with both systems in a dtype, or FLOPs. */
export type BreakEvenMeasure = WeightDType | 'flops';

interface Compared {
  readonly against: OtherSystem;
  readonly by: BreakEvenMeasure;
}

/** The inputs of one task for which HINT, compiling included, costs less. */
export interface BreakEvenInputs extends Compared, CheaperInputs {
  readonly shots: number;
  /** The same of every round by itself; absent for FLOPs. */
  readonly rounds?: readonly CheaperInputs[];
}

/** The shots from which on HINT costs less for so many inputs of one task. */
export interface BreakEvenShots extends Compared {
  readonly inputs: number;
  /** Null: not with the most shots that were measured, or counted ({@link COUNTED_SHOTS}). */
  readonly from: number | null;
}

/** From where on HINT costs less. */
export interface BreakEven {
  readonly inputs: readonly BreakEvenInputs[];
  readonly shots: readonly BreakEvenShots[];
}
