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
  /** Multiply-adds that run again in the backward pass; all 0 when nothing does. */
  readonly recomputed: MultiplyAdds;
  /** Multiply-adds that are saved because two products of the generators are folded into one. */
  readonly folded: number;
  /** The executed FLOPs (two per multiply-add). */
  readonly flops: number;
}

/**
 * Multiply-adds of the forward and backward pass over a batch when every parameter is trained. A system that freezes
 * parameters executes fewer backward products, so that this is an upper bound for it.
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
 * Useful FLOPs of the forward and backward pass over a batch, independent of how an engine computes them. Work and
 * logits that are computed again, and shared work that each microbatch repeats, are not counted; products that are
 * folded into one are.
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
  // Work that all tasks share, such as the components' queries, counts once per batch.
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

/** Multiply-adds of the products that read generated modules: adapters, LoRA, and attention over prefixes. */
function sites({ hint }: ModelConfig, stacks: MultiplyAdds, { adaptations }: MultiplyAdds): MultiplyAdds {
  const attention = hint && hint.prefixLength > 0 ? stacks.attention : 0;
  return { ...NOTHING, attention, adaptations, total: attention + adaptations };
}

/** LoRA of cross-attention's keys and values, which is applied to the inputs and again to fused instructions. */
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

/** Multiply-adds that folding saves in a forward pass of `rows` rows of a generator; 0 when it saves nothing. */
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
