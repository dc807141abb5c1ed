import { buildBatch, type TokenizedExample } from '../data/batch.js';
import { normal, randomTokens } from './random-model.js';

/**
 * Lengths of training examples: log-normal around the medians of Super-NaturalInstructions, truncated at the systems'
 * limits. With this spread the longest of a batch is about three times the mean.
 */
export const TRAINING_LENGTHS = {
  fullMedian: 133,
  instructionMedian: 69,
  instanceMedian: 44,
  targetMedian: 6,
  inputMost: 1024,
  targetMost: 128,
  sigma: 0.8,
} as const;

/** The same examples as the systems read them. */
export interface DrawnBatch {
  /** Instruction and input in one. */
  readonly plain: readonly TokenizedExample[];
  /** Instructions apart, `tasks` different ones. */
  readonly hint: readonly TokenizedExample[];
}

/**
 * A batch of random tokens. The instance is the same share of an example's full input as in the medians: 44 of 133
 * tokens.
 *
 * @param uniform numbers in [0, 1)
 */
export function drawBatch(
  uniform: () => number,
  { batchSize, tasks, vocabSize }: { batchSize: number; tasks: number; vocabSize: number },
): DrawnBatch {
  const { fullMedian, instanceMedian, instructionMedian, targetMedian, inputMost, targetMost, sigma } =
    TRAINING_LENGTHS;
  const draw = (median: number, most: number): number =>
    Math.min(most, Math.max(1, Math.round(median * Math.exp(sigma * normal(uniform)))));
  const tokens = (length: number): Int32Array => randomTokens(uniform, length, vocabSize);
  const instructions = Array.from({ length: tasks }, () => tokens(draw(instructionMedian, inputMost)));
  const pairs = Array.from({ length: batchSize }, (_, i) => {
    const full = tokens(draw(fullMedian, inputMost));
    const target = tokens(draw(targetMedian, targetMost));
    const task = Math.min(tasks - 1, Math.floor((i * tasks) / batchSize));
    const instance = Math.max(1, Math.round((full.length * instanceMedian) / fullMedian));
    const common = { id: `${i}`, task: `${task}`, target, references: [] };
    return {
      plain: { ...common, instruction: new Int32Array(0), input: full },
      hint: {
        ...common,
        instruction: instructions[task] as Int32Array,
        input: full.subarray(full.length - instance),
      },
    };
  });
  return { plain: pairs.map(({ plain }) => plain), hint: pairs.map(({ hint }) => hint) };
}

/** Tokens of a batch that are not padding, every different instruction once. */
export function usefulTokens(examples: readonly TokenizedExample[]): number {
  const { instructions, inputs, targets } = buildBatch(examples);
  return instructions.ids.length + inputs.ids.length + targets.ids.length;
}
