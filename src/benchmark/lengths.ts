import { PAPER_LENGTHS } from '../accounting/paper-tables.js';

/** Tokens of one example at the medians of Super-NaturalInstructions. */
export interface ExampleLengths {
  /** The bare input, which HINT and systems without instruction read. */
  readonly input: number;
  /** Tokens that HINT's hypernetwork reads once per task. */
  readonly instruction: number;
  /** Instruction and input together, which plain T5 reads with every input. */
  readonly full: number;
}

const { instance, def, twoPositive } = PAPER_LENGTHS.sni;
/** New tokens of every example: Figure 4's task generates more than the median of one. */
export const OUTPUT_TOKENS = PAPER_LENGTHS.p3.output;
export const MOST_SHOTS = 20;

/**
 * Lengths with a definition and `shots` positive examples. The paper gives medians for 0 and 2 shots (Table 7); each
 * column is extended linearly, by 33 tokens per shot with the input and 64 without. The two differ because a median of
 * sums is not the sum of medians. Taken together they make HINT's instruction as long as possible.
 */
export function sniLengths(shots: number): ExampleLengths {
  const perShot = (none: number, two: number): number => (two - none) / 2;
  return {
    input: instance,
    instruction: def.instruction + shots * perShot(def.instruction, twoPositive.instruction),
    full: def.full + shots * perShot(def.full, twoPositive.full),
  };
}
