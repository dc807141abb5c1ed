import { PAPER_LENGTHS } from '../accounting/paper-tables.js';

/** Tokens of one example at the medians of Super-NaturalInstructions. */
export interface ExampleLengths {
  /** The bare input, which HINT and systems without instruction read. */
  readonly input: number;
  /** What HINT's hypernetwork reads once a task. */
  readonly instruction: number;
  /** Instruction and input together, which plain T5 reads with every input. */
  readonly full: number;
}

const { instance, def, twoPositive } = PAPER_LENGTHS.sni;
/** New tokens of every example: Figure 4's task generates more than the median of one. */
export const OUTPUT_TOKENS = PAPER_LENGTHS.p3.output;
export const MOST_SHOTS = 20;

/**
 * Lengths with a definition and `shots` positive examples. The paper gives medians for none and for two (Table 7), and
 * each column goes on by what it gains from one to the other: 33 tokens a shot with the input, 64 without. A median of
 * sums is not the sum of medians, so the two differ; taken as they are, they put HINT's instruction at its longest.
 */
export function sniLengths(shots: number): ExampleLengths {
  const perShot = (none: number, two: number): number => (two - none) / 2;
  return {
    input: instance,
    instruction: def.instruction + shots * perShot(def.instruction, twoPositive.instruction),
    full: def.full + shots * perShot(def.full, twoPositive.full),
  };
}
