import type { Ragged, RaggedBatch } from '../data/batch.js';
import { makesModulesAgain, runsLayersAgain, type BackwardPlan } from '../model/memory/backward-plan.js';
import type { ModelConfig } from '../model/config/config.js';
import {
  adaptationTable,
  attentionWidth,
  generatesBySlot,
  type Adaptation,
} from '../model/modules/adaptations.js';
import { slotsOf } from '../model/modules/slots.js';
import { foldsWhileTraining } from '../model/weights/generator-folding.js';
import {
  addMultiplyAdds,
  compileMultiplyAdds,
  examplePhases,
  generateMultiplyAdds,
  type InferenceLengths,
  type MultiplyAdds,
} from './flops.js';

/** One training batch: `tasks` distinct instructions with `examples` examples each, all of equal length. */
export interface TrainingLengths extends InferenceLengths {
  readonly tasks: number;
  /** What the backward pass runs again; absent: nothing. */
  readonly backward?: BackwardPlan | undefined;
}

/** Cost of one training batch without the optimiser, which has no matrix products. */
export interface TrainingCost {
  readonly forward: MultiplyAdds;
  /** Twice the forward (one product for the input's gradient, one for the weight's), and the logits computed again. */
  readonly backward: MultiplyAdds;
  /** What runs again in the backward pass; all 0 where that is nothing. */
  readonly recomputed: MultiplyAdds;
  /** Multiply-adds that are not executed because two products of the generators are made one. */
  readonly folded: number;
  /** What is executed, in FLOPs (two per multiply-add). */
  readonly flops: number;
}

/**
 * Multiply-adds of forward and backward over a batch, every parameter being trained; a system that freezes some of them
 * leaves out some of the backward products, so that this is an upper bound there.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function trainingFlops(config: ModelConfig, lengths: TrainingLengths): TrainingCost {
  const { instruction, tasks, examples, backward: plan } = lengths;
  const recompute = runsLayersAgain(plan);
  const regenerate = makesModulesAgain(plan) && generatesBySlot(config);
  const compile = compileMultiplyAdds(config, instruction, tasks);
  const example = examplePhases(config, lengths);
  const encode = scale(example.encode, tasks * examples);
  const decode = scale(example.decode, tasks * examples);
  const adapted = addMultiplyAdds(compile.fuse, encode, decode);
  const layers = addMultiplyAdds(compile.encode, adapted);
  const twice = regenerate && !recompute ? generatedTwice(config, instruction, tasks) : NOTHING;
  const forward = addMultiplyAdds(layers, compile.generate, twice);
  const { lmHead } = forward;
  const backward = withHead(scale(forward, 2), 3 * lmHead);
  const generated = addMultiplyAdds(generateMultiplyAdds(config, instruction, tasks), twice);
  const recomputed = addMultiplyAdds(
    recompute ? withHead(layers, 0) : NOTHING,
    regenerate ? generated : NOTHING,
    regenerate && !recompute ? sites(config, addMultiplyAdds(encode, decode), adapted) : NOTHING,
  );
  const folded = foldedAway(config, tasks, plan);
  return {
    forward,
    backward,
    recomputed,
    folded,
    flops: 2 * (forward.total + backward.total + recomputed.total - folded),
  };
}

/**
 * FLOPs of forward and backward pass over a batch, whatever an engine does to get there: work that runs again, logits that are
 * computed again, and what tasks share and a microbatch repeats are not counted; products that are folded into one are.
 */
export function usefulFlops(
  config: ModelConfig,
  { instructions, inputs, targets, taskIndex }: RaggedBatch,
): number {
  const useful = (lengths: TrainingLengths): number => {
    const { forward, backward } = trainingFlops(config, lengths);
    return 2 * (forward.total + backward.total - forward.lmHead);
  };
  const tasks = Array.from({ length: instructions.offsets.length - 1 }, (_, task) =>
    ofTask(lengthAt(instructions, task)),
  );
  let flops = tasks.reduce((total, lengths) => total + useful(lengths), 0);
  const [first] = tasks;
  // What all tasks share, such as the components' queries, is computed once a batch.
  if (first) flops -= (tasks.length - 1) * (2 * useful(first) - useful({ ...first, tasks: 2 }));
  for (const [i, index] of taskIndex.entries()) {
    const task = tasks[index] ?? ofTask(0);
    const example = { ...task, examples: 1, input: lengthAt(inputs, i), output: lengthAt(targets, i) };
    flops += useful(example) - useful({ ...example, examples: 0 });
  }
  return flops;
}

function lengthAt({ offsets }: Ragged, row: number): number {
  return (offsets[row + 1] ?? 0) - (offsets[row] ?? 0);
}

/** One task without an example. */
function ofTask(instruction: number): TrainingLengths {
  return { instruction, tasks: 1, examples: 0, input: 0, output: 0, instructionInInput: false };
}

const NOTHING = addMultiplyAdds();

/** What reads generated modules: adapters, LoRA, and attention behind prefixes. */
function sites({ hint }: ModelConfig, stacks: MultiplyAdds, { adaptations }: MultiplyAdds): MultiplyAdds {
  const attention = hint && hint.prefixLength > 0 ? stacks.attention : 0;
  return { ...NOTHING, attention, adaptations, total: attention + adaptations };
}

/** LoRA of cross-attention's keys and values: made for the inputs, and once more for fused instructions. */
function generatedTwice(config: ModelConfig, instruction: number, tasks: number): MultiplyAdds {
  if (!config.hint?.instructionFusion) return NOTHING;
  const table = adaptationTable(config).filter(isLoraOfKeys);
  return generateMultiplyAdds(config, instruction, tasks, { table, slots: config.numDecoderLayers });
}

/**
 * The component attention's output projection of the rows that a generator reads, where it is multiplied into the generator's first
 * matrix instead, less that product; forward, and twice as much backward.
 */
function foldedAway(config: ModelConfig, tasks: number, plan: BackwardPlan | undefined): number {
  const again = makesModulesAgain(plan) && generatesBySlot(config);
  const twice = again && !runsLayersAgain(plan) && config.hint?.instructionFusion === true;
  let saved = 0;
  for (const adaptation of adaptationTable(config)) {
    const slots = slotsOf(config, adaptation.name).length;
    const together = again ? 1 : slots;
    const once = foldedForward(config, tasks * together * adaptation.components);
    const repeated = twice && isLoraOfKeys(adaptation) ? config.numDecoderLayers : 0;
    saved += (slots / together + repeated) * (again ? 4 : 3) * once;
  }
  return saved;
}

/** Multiply-adds that folding saves in a forward pass of so many rows of a generator; 0 where it does not pay. */
export function foldedForward(config: ModelConfig, rows: number): number {
  if (!foldsWhileTraining(config, rows)) return 0;
  return (rows - config.dModel) * config.dModel * attentionWidth(config);
}

function isLoraOfKeys({ name }: Adaptation): boolean {
  return /^lora_[kv]_/.test(name);
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
