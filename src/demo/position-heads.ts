import { HintError } from '../errors.js';

const BUCKETS = 32;
const BIAS = 4;
/** Bucket of a bidirectional table (hint-method §1.2) for the keys 1, 2, 3 places before and behind the query. */
const NEIGHBOUR_BUCKETS = [1, 17, 2, 18, 3, 19];

/**
 * Starting value of `encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight` for pretraining, row-major
 * [32, numHeads]: six heads begin by looking at one neighbour each, the others everywhere. From T5's own start, a narrow
 * uniform distribution, a model this small takes long to tell positions apart.
 *
 * @throws HintError INVALID_ARGUMENT for fewer heads than neighbours.
 */
export function positionHeadTable(numHeads: number): Float32Array {
  if (!Number.isInteger(numHeads) || numHeads < NEIGHBOUR_BUCKETS.length) {
    const message = `numHeads is ${numHeads}; position heads need at least ${NEIGHBOUR_BUCKETS.length} heads.`;
    throw new HintError('INVALID_ARGUMENT', message);
  }
  const table = new Float32Array(BUCKETS * numHeads);
  NEIGHBOUR_BUCKETS.forEach((bucket, head) => {
    table[bucket * numHeads + head] = BIAS;
  });
  return table;
}
