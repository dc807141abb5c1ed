import type { ModelConfig } from '../model/config.js';
import {
  addMultiplyAdds,
  compileMultiplyAdds,
  examplePhases,
  type InferenceLengths,
  type MultiplyAdds,
} from './flops.js';

/** One training batch: `tasks` distinct instructions with `examples` examples each, all of equal length. */
export interface TrainingLengths extends InferenceLengths {
  readonly tasks: number;
  /** Layers run a second time in the backward pass (the trainer's `recompute`). */
  readonly recompute?: boolean;
}

/** Cost of one training batch without the optimiser, which has no matrix products. */
export interface TrainingCost {
  readonly forward: MultiplyAdds;
  /** Twice the forward (one product for the input's gradient, one for the weight's), and the logits computed again. */
  readonly backward: MultiplyAdds;
  /** Layers run again in the backward pass; all 0 without `recompute`. */
  readonly recomputed: MultiplyAdds;
  /** All of it, in FLOPs (two per multiply-add). */
  readonly flops: number;
}

/**
 * Multiply-adds of forward and backward over a batch, every parameter being trained; a system that freezes some of them
 * leaves out some of the backward products, so that this is an upper bound there.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function trainingFlops(config: ModelConfig, lengths: TrainingLengths): TrainingCost {
  const { instruction, tasks, examples, recompute = false } = lengths;
  const compile = compileMultiplyAdds(config, instruction, tasks);
  const example = examplePhases(config, lengths);
  const decode = scale(example.decode, tasks * examples);
  const layers = addMultiplyAdds(
    compile.encode,
    compile.fuse,
    scale(example.encode, tasks * examples),
    decode,
  );
  const forward = addMultiplyAdds(layers, compile.generate);
  const { lmHead } = forward;
  const backward = withHead(scale(forward, 2), 3 * lmHead);
  const recomputed = recompute ? withHead(layers, 0) : scale(forward, 0);
  return {
    forward,
    backward,
    recomputed,
    flops: 2 * (forward.total + backward.total + recomputed.total),
  };
}

function scale(count: MultiplyAdds, factor: number): MultiplyAdds {
  const { projections, attention, feedForward, adaptations, generators, lmHead, total } = count;
  return {
    projections: factor * projections,
    attention: factor * attention,
    feedForward: factor * feedForward,
    adaptations: factor * adaptations,
    generators: factor * generators,
    lmHead: factor * lmHead,
    total: factor * total,
  };
}

function withHead(count: MultiplyAdds, lmHead: number): MultiplyAdds {
  return { ...count, lmHead, total: count.total - count.lmHead + lmHead };
}
