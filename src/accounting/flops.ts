import { HintError } from '../util/errors.js';
import { MODEL_CONFIG, readsInstruction, type HintConfig, type ModelConfig } from '../model/config/config.js';
import { feedForwardMatrices } from '../model/config/variant.js';
import {
  adaptationTable,
  attentionWidth,
  componentsPerSlot,
  generatorOutputs,
  generatorWidth,
  type Adaptation,
} from '../model/modules/adaptations.js';
import { slotsOf } from '../model/modules/slots.js';
import { boolean, checked, integer, options as optionsOf } from '../util/arguments.js';

/**
 * The multiply-adds of every matrix product of inference, as the engine executes them: no padding, causal attention
 * over existing keys, key/value caches, no components that are never read. The native op table counts the same of the
 * executed ops (Device.statistics). Element-wise work, norms, softmax, biases and table look-ups are not counted. One
 * multiply-add is two FLOPs.
 */
export interface MultiplyAdds {
  /** Attention projections q, k, v, o, in the model, the hyperencoder and the component attention. */
  readonly projections: number;
  /** Attention scores and weighted values, prefixes and the fused instruction included. */
  readonly attention: number;
  /** The two or three products of the feed-forward layers, of encoders and decoder. */
  readonly feedForward: number;
  /** Use of adapters and LoRA. */
  readonly adaptations: number;
  /** Generator MLPs. */
  readonly generators: number;
  /** The product of the last decoder states with the vocabulary. */
  readonly lmHead: number;
  /** The sum of all parts above. */
  readonly total: number;
}

/** Token counts of one task and its examples, end-of-sequence tokens included. */
export interface InferenceLengths {
  /** Tokens of the instruction with its few-shot examples. */
  readonly instruction: number;
  /** Tokens of one input, without the instruction. */
  readonly input: number;
  /** Tokens generated for one input; each is one decoder step. */
  readonly output: number;
  /** Inputs the task is run on. */
  readonly examples: number;
  /** The encoder reads [instruction; input], as plain T5 systems do. */
  readonly instructionInInput: boolean;
}

const LENGTHS = optionsOf<InferenceLengths>(
  {
    instruction: integer(0, 1 << 30),
    input: integer(0, 1 << 30),
    output: integer(0, 1 << 30),
    examples: integer(0),
    instructionInInput: boolean,
  },
  'an object { instruction, input, output, examples, instructionInInput }',
);

/** Cost of running a task. */
export interface InferenceCost {
  /** Spent once per task: hyperencoder, generators, keys and values of the fused instruction. */
  readonly perTask: MultiplyAdds;
  /** Spent on each input again: reading it, and generating its output token by token. */
  readonly perExample: MultiplyAdds;
  /** perTask + examples × perExample, in FLOPs (two per multiply-add). */
  readonly flops: number;
}

class Counter {
  projections = 0;
  attention = 0;
  feedForward = 0;
  adaptations = 0;
  generators = 0;
  lmHead = 0;

  result(): MultiplyAdds {
    const { projections, attention, feedForward, adaptations, generators, lmHead } = this;
    const total = projections + attention + feedForward + adaptations + generators + lmHead;
    return { projections, attention, feedForward, adaptations, generators, lmHead, total };
  }
}

/** Adds `layers` layers' projections of `tokens` vectors by the named matrices, with LoRA where the model has it. */
function project(
  counter: Counter,
  config: ModelConfig,
  adapted: HintConfig | undefined,
  layers: number,
  tokens: number,
  projections: readonly ('q' | 'k' | 'v' | 'o')[],
): void {
  const { dModel } = config;
  const width = attentionWidth(config);
  counter.projections += layers * tokens * projections.length * dModel * width;
  for (const projection of projections) {
    const rank = adapted?.loraRanks[projection] ?? 0;
    counter.adaptations += layers * tokens * rank * (dModel + width);
  }
}

/** Adds `layers` feed-forward blocks over `tokens` vectors, with their adapters. */
function feedForward(
  counter: Counter,
  config: ModelConfig,
  adapted: HintConfig | undefined,
  layers: number,
  tokens: number,
): void {
  const { dModel, dFf } = config;
  counter.feedForward += layers * tokens * feedForwardMatrices(config) * dModel * dFf;
  counter.adaptations += layers * tokens * 2 * dModel * (adapted?.adapterSize ?? 0);
}

function encode(
  counter: Counter,
  config: ModelConfig,
  adapted: HintConfig | undefined,
  tokens: number,
  sequences = 1,
): void {
  const layers = config.numLayers;
  project(counter, config, adapted, layers, tokens * sequences, ['q', 'k', 'v', 'o']);
  const keys = tokens + (adapted?.prefixLength ?? 0);
  counter.attention += layers * 2 * sequences * tokens * keys * attentionWidth(config);
  feedForward(counter, config, adapted, layers, tokens * sequences);
}

/** Adds `steps` cached decoder steps over a cross-attention memory whose keys and values exist already. */
function decode(
  counter: Counter,
  config: ModelConfig,
  adapted: HintConfig | undefined,
  memory: number,
  steps: number,
): void {
  const layers = config.numDecoderLayers;
  const prefix = adapted?.prefixLength ?? 0;
  project(counter, config, adapted, layers, steps, ['q', 'k', 'v', 'o']);
  project(counter, config, adapted, layers, steps, ['q', 'o']);
  const selfKeys = (steps * (steps + 1)) / 2 + steps * prefix;
  const crossKeys = steps * (prefix + memory);
  counter.attention += layers * 2 * (selfKeys + crossKeys) * attentionWidth(config);
  feedForward(counter, config, adapted, layers, steps);
  counter.lmHead += steps * config.dModel * config.vocabSize;
}

/** The part of the generation that is counted; absent: all of it. */
interface GeneratedPart {
  /** Do not count keys and values of the instructions, which are computed once for all modules. */
  readonly withoutKeys?: boolean;
  /** Only these kinds, and slots of each. */
  readonly table?: readonly Adaptation[];
  readonly slots?: number;
}

/** The hypernetwork after its encoder, for `tasks` instructions of `instruction` tokens at once. */
function generate(
  counter: Counter,
  config: ModelConfig,
  hint: HintConfig,
  instruction: number,
  tasks: number,
  { withoutKeys = false, table = adaptationTable(config), slots }: GeneratedPart = {},
): void {
  if (table.length === 0 || hint.generator === 'static') return;
  const slotsOfKind = ({ name }: Adaptation): number => slots ?? slotsOf(config, name).length;
  // Without an instruction every task has the same modules.
  const generated = hint.generator === 'embedding' ? 1 : tasks;
  const width = attentionWidth(config);
  // Without generators per layer, all embeddings feed every slot, so none can be left out.
  const rows = hint.perLayerGenerators
    ? hint.embeddingSlots * componentsPerSlot(config)
    : table.reduce((sum, adaptation) => sum + adaptation.components * slotsOfKind(adaptation), 0);
  const attentionLayers = { cross_attention: 1, decoder: config.numDecoderLayers, hypter: 0, embedding: 0 }[
    hint.generator
  ];
  const attended = rows * tasks;
  // The queries of the one component attention do not depend on the task; those inside a decoder do.
  const queries = hint.generator === 'cross_attention' ? rows : attended;
  project(counter, config, undefined, attentionLayers, queries, ['q']);
  project(counter, config, undefined, attentionLayers, attended, ['o']);
  if (!withoutKeys) project(counter, config, undefined, attentionLayers, instruction * tasks, ['k', 'v']);
  counter.attention += attentionLayers * 2 * attended * instruction * width;
  if (hint.generator === 'decoder') feedForward(counter, config, undefined, attentionLayers, attended);
  for (const adaptation of table) {
    const outputs = generatorOutputs(config, adaptation);
    const vectors = hint.generator === 'hypter' ? 1 : adaptation.components;
    const groups = hint.perLayerGenerators ? 1 : slotsOfKind(adaptation);
    counter.generators += generated * groups * vectors * config.dModel * (generatorWidth(config) + outputs);
  }
}

/** @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0 */
export function checkLengths(lengths: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(lengths)) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `The ${name} length is ${value}; it must be a whole number ≥ 0.`,
      );
    }
  }
}

/** Multiply-adds of compiling tasks, by phase. */
export interface CompileMultiplyAdds {
  /** The hyperencoder over the instructions. */
  readonly encode: MultiplyAdds;
  /** Component attention and generator MLPs. */
  readonly generate: MultiplyAdds;
  /** Cross-attention keys and values of the fused instructions, in every decoder layer. */
  readonly fuse: MultiplyAdds;
}

/** Multiply-adds of one example of a compiled task, by phase. */
export interface ExampleMultiplyAdds {
  /** The encoder, and the cross-attention keys and values of its output. */
  readonly encode: MultiplyAdds;
  /** `output` cached decoder steps; a teacher-forced pass over the same number of tokens has the same count. */
  readonly decode: MultiplyAdds;
}

function count(body: (counter: Counter) => void): MultiplyAdds {
  const counter = new Counter();
  body(counter);
  return counter.result();
}

/** The sum of counts, category by category. */
export function addMultiplyAdds(...counts: readonly MultiplyAdds[]): MultiplyAdds {
  return count((counter) => {
    for (const part of counts) {
      counter.projections += part.projections;
      counter.attention += part.attention;
      counter.feedForward += part.feedForward;
      counter.adaptations += part.adaptations;
      counter.generators += part.generators;
      counter.lmHead += part.lmHead;
    }
  });
}

/**
 * Multiply-adds of compiling `tasks` tasks in one batch, each with an instruction of `instruction` tokens. All 0 for plain
 * T5.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function compileMultiplyAdds(
  config: ModelConfig,
  instruction: number,
  tasks = 1,
): CompileMultiplyAdds {
  checkLengths({ instruction, tasks });
  const { hint } = config;
  const tokens = instruction * tasks;
  return {
    encode: count((counter) => {
      if (hint === undefined || !readsInstruction(hint)) return;
      encode(counter, config, undefined, instruction, tasks);
    }),
    generate: count((counter) => {
      if (hint !== undefined) generate(counter, config, hint, instruction, tasks);
    }),
    fuse: count((counter) => {
      if (hint?.instructionFusion)
        project(counter, config, hint, config.numDecoderLayers, tokens, ['k', 'v']);
    }),
  };
}

/**
 * Multiply-adds of generating modules for `tasks` tasks from existing keys and values.
 *
 * @param part which kinds of modules, for which slots (default: every kind for every slot that reads it)
 */
export function generateMultiplyAdds(
  config: ModelConfig,
  instruction: number,
  tasks: number,
  part: Omit<GeneratedPart, 'withoutKeys'> = {},
): MultiplyAdds {
  return count((counter) => {
    const { hint } = config;
    if (hint) generate(counter, config, hint, instruction, tasks, { ...part, withoutKeys: true });
  });
}

/**
 * The sum of {@link compileMultiplyAdds} of one task.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function taskMultiplyAdds(config: ModelConfig, instruction: number): MultiplyAdds {
  const { encode: encoded, generate: generated, fuse } = compileMultiplyAdds(config, instruction);
  return addMultiplyAdds(encoded, generated, fuse);
}

/**
 * Multiply-adds of one example of a compiled task, by phase.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function examplePhases(
  config: ModelConfig,
  lengths: Omit<InferenceLengths, 'examples'>,
): ExampleMultiplyAdds {
  const { instruction, input, output, instructionInInput } = lengths;
  checkLengths({ instruction, input, output });
  const { hint } = config;
  const tokens = input + (instructionInInput ? instruction : 0);
  return {
    encode: count((counter) => {
      encode(counter, config, hint, tokens);
      project(counter, config, hint, config.numDecoderLayers, tokens, ['k', 'v']);
    }),
    decode: count((counter) => {
      decode(counter, config, hint, tokens + (hint?.instructionFusion ? instruction : 0), output);
    }),
  };
}

/**
 * The sum of {@link examplePhases}.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function exampleMultiplyAdds(
  config: ModelConfig,
  lengths: Omit<InferenceLengths, 'examples'>,
): MultiplyAdds {
  const { encode: encoded, decode: decoded } = examplePhases(config, lengths);
  return addMultiplyAdds(encoded, decoded);
}

/**
 * Cost of running one task on `examples` inputs of equal length. For inputs of different lengths, add up the `perExample` of each
 * length and `perTask` once.
 *
 * @throws HintError INVALID_ARGUMENT for a length that is not a whole number ≥ 0
 */
export function inferenceFlops(config: ModelConfig, lengths: InferenceLengths): InferenceCost {
  checked(MODEL_CONFIG, config, 'config');
  checked(LENGTHS, lengths, 'lengths');
  const perTask = taskMultiplyAdds(config, lengths.instruction);
  const perExample = exampleMultiplyAdds(config, lengths);
  return { perTask, perExample, flops: 2 * (perTask.total + lengths.examples * perExample.total) };
}
