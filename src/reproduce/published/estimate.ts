import { examplePhases } from '../../accounting/flops.js';
import { PAPER_LENGTHS } from '../../accounting/paper-tables.js';
import type { TokenizedExample } from '../../data/batch.js';
import type { Roofs } from '../../benchmark/estimate/roofs.js';
import type { ModelConfig } from '../../model/config/config.js';
import { parameterCount } from '../../model/parameters/parameter-shapes.js';
import type { WeightDType } from '../../tensor/ops.js';
import type { NamedData } from './named-data.js';

/** Examples of an evaluation, by their mean lengths in tokens. */
export interface EvaluationWork {
  readonly examples: number;
  readonly input: number;
  /** Generated of one example, or of all its choices together. */
  readonly output: number;
  readonly isRanked: boolean;
}

/** Input tokens that are encoded together, as in evaluateModel. */
const TOKEN_BUDGET = 4096;
const BYTES = { f32: 4, bf16: 2, int8: 1 } as const;
/** Choices of an example, about: two to five. */
const CHOICES = 3;

/** The work of a whole published evaluation by the medians of the paper's Table 7. The means are larger. */
export function namedWork(data: NamedData, limit = Infinity): EvaluationWork {
  const { sni, p3 } = PAPER_LENGTHS;
  if (data.kind === 'sni') {
    const examples = Math.min(data.instances, data.tasks * limit);
    return { examples, input: sni.twoPositive.full, output: sni.output, isRanked: false };
  }
  const examples = data.datasets.reduce(
    (sum, { templates, instances }) => sum + templates * Math.min(instances, limit),
    0,
  );
  return { examples, input: p3.prompt.full, output: CHOICES * p3.output, isRanked: true };
}

/** The work of examples, if answers are as long as their targets. */
export function workOf(examples: readonly TokenizedExample[]): EvaluationWork {
  const mean = (lengthOf: (example: TokenizedExample) => number): number =>
    Math.round(examples.reduce((sum, example) => sum + lengthOf(example), 0) / Math.max(1, examples.length));
  return {
    examples: examples.length,
    input: mean(({ input }) => input.length),
    output: mean(({ target, choices }) =>
      choices ? choices.reduce((sum, { ids }) => sum + ids.length, 0) : target.length,
    ),
    isRanked: examples.some(({ choices }) => choices !== undefined),
  };
}

/**
 * Seconds that a plain T5 takes at the roofs of a device: all products at the rate of large ones, and the matrices read from memory once for
 * each batch that is encoded and each token of it that is decoded. Real runs take longer.
 */
export function estimatedSeconds(
  config: ModelConfig,
  { examples, input, output, isRanked }: EvaluationWork,
  { roofs, dtype, batchSize }: { roofs: Roofs; dtype: WeightDType; batchSize: number },
): number {
  const { encode, decode } = examplePhases(config, {
    ...{ instruction: 0, input, output },
    instructionInInput: false,
  });
  const products = (2 * examples * (encode.total + decode.total)) / roofs.product;
  const rows = Math.max(1, Math.min(batchSize, Math.floor(TOKEN_BUDGET / Math.max(1, input))));
  const passes = Math.ceil(examples / rows) * (isRanked ? 1 : Math.max(1, output));
  return products + (passes * parameterCount(config) * BYTES[dtype]) / roofs.memory;
}
