import type { FloatDType } from '../../tensor/ops.js';
import type { RaggedBatch } from '../../data/batch.js';
import { readsInstruction, type HintConfig, type ModelConfig } from '../config/config.js';
import { generatedMemory, LayerMemory, Sizes, type Generated } from './kept-by-layers.js';
import {
  adaptationTable,
  attentionWidth,
  generatorOutputs,
  slotCount,
  type Adaptation,
} from '../parameters/parameter-shapes.js';

/** What is run again in the backward pass instead of being kept for it; see ForwardOptions. */
export interface RunAgain {
  readonly recompute: boolean;
  readonly regenerate: boolean;
}

/** How many there are of what a microbatch is made of. */
export interface BatchShape {
  /** Distinct instructions, and their tokens; both 0 where nothing reads them. */
  readonly tasks: number;
  readonly instruction: number;
  /** Tokens of all inputs, and of all targets. */
  readonly input: number;
  readonly target: number;
  /** Instruction tokens counted once for every example, for models that read them in front of each input. */
  readonly repeatedInstruction: number;
}

/** How many there are in a batch. */
export function shapeOf({ instructions, inputs, targets, taskIndex }: RaggedBatch): BatchShape {
  const { offsets } = instructions;
  const lengthOf = (task: number): number => (offsets[task + 1] ?? 0) - (offsets[task] ?? 0);
  return {
    tasks: offsets.length - 1,
    instruction: instructions.ids.length,
    input: inputs.ids.length,
    target: targets.ids.length,
    repeatedInstruction: taskIndex.reduce((tokens, task) => tokens + lengthOf(task), 0),
  };
}

/** Bytes that forward and backward pass of a microbatch take beside parameters and their gradients. */
export interface ActivationMemory {
  /** Kept for the backward pass: what layers have computed, */
  readonly layers: number;
  /** generated modules, */
  readonly modules: number;
  /** and what generators have computed on the way to them. */
  readonly generators: number;
  /** Gradients, and what exists only while a layer runs again, where all of it together is largest. */
  readonly passing: number;
  /** The most at a time: the sum of the others. */
  readonly peak: number;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Whether modules can be made slot by slot; see Hypernetwork.generatesBySlot. */
export function canRegenerate(config: ModelConfig): boolean {
  const { hint } = config;
  if (!hint || adaptationTable(config).length === 0) return false;
  return hint.generator !== 'static' && hint.generator !== 'hypter' && !hint.perLayerGenerators;
}

/** Slots of one kind that are generated; see Hypernetwork. */
function generatedSlots(config: ModelConfig, { name }: Adaptation): number {
  const together = config.hint?.perLayerGenerators ?? false;
  return name.startsWith('adapter') && !together
    ? config.numLayers + config.numDecoderLayers
    : slotCount(config);
}

/**
 * Estimates the most that forward and backward pass of a microbatch take at a time, from shapes alone. What kernels need
 * for their own duration is not counted.
 */
export function activationMemory(
  config: ModelConfig,
  dtype: FloatDType,
  shape: BatchShape,
  { recompute, regenerate: asked }: RunAgain,
): ActivationMemory {
  const { hint, numLayers, numDecoderLayers } = config;
  const sizes = new Sizes(config, dtype);
  const regenerate = asked && canRegenerate(config);
  const { d, width } = sizes;
  const reads = hint !== undefined && readsInstruction(hint);
  const [input, target] = [shape.input, shape.target];
  const instruction = reads ? shape.instruction : 0;
  const fused = hint?.instructionFusion ? instruction : 0;
  const adapted = new LayerMemory(sizes, hint, regenerate && !recompute);
  const plain = new LayerMemory(sizes, undefined, false);
  const stream = (rows: number): number => sizes.wide(rows) + sizes.of(rows, d);
  const edge = (rows: number): number => sizes.norm(rows);
  const layer = {
    encoder: adapted.encoder(input),
    decoder: adapted.decoder(target, { input, instruction: fused }),
    hyperencoder: plain.encoder(instruction),
  };
  const stack = (rows: number, layers: number, one: number): number =>
    rows === 0
      ? 0
      : edge(rows) +
        (recompute ? layers * stream(rows) - sizes.of(rows, d) : layers * one + sizes.wide(rows));
  const encoder = stack(input, numLayers, layer.encoder);
  const decoder = stack(target, numDecoderLayers, layer.decoder);
  const hyperencoder = stack(instruction, numLayers, layer.hyperencoder);

  const table = hint && (!reads || instruction > 0) ? adaptationTable(config) : [];
  const generatorLayers =
    table.length === 0
      ? 0
      : hint?.generator === 'decoder'
        ? numDecoderLayers
        : hint?.generator === 'cross_attention'
          ? 1
          : 0;
  const keys = 2 * generatorLayers * sizes.of(instruction, width);
  const all = table.map((one) =>
    generatedMemory(sizes, hint as HintConfig, one, generatedSlots(config, one), shape.tasks),
  );
  /** Bytes of the modules that a layer's sites read, by kind: each site's are there at once. */
  const made = (slots: number, of: (one: Generated) => number, isKind: (name: string) => boolean): number =>
    sum(
      table.map((one) => {
        if (!isKind(one.name)) return 0;
        const count = one.name.startsWith('adapter') ? 1 : slots;
        return of(generatedMemory(sizes, hint as HintConfig, one, count, shape.tasks));
      }),
    );
  const isAdapter = (name: string): boolean => name.startsWith('adapter');
  const held = ({ modules, activations }: Generated): number => modules + activations;
  // A site's generators run backward one after the other.
  const extra = (one: Generated): number => one.modules + one.passing / 2;
  const sites = ['prefix', 'lora_q', 'lora_k', 'lora_v', 'lora_o'];
  const largest = (of: (one: Generated) => number): number =>
    Math.max(0, ...sites.map((site) => made(1, of, (name) => name.startsWith(site))));
  const modules = regenerate ? 0 : sum(all.map((one) => one.modules));
  const generators = keys + (regenerate ? 0 : sum(all.map((one) => one.activations)));
  const moduleGradients = modules;
  const again = (one: number): number => (recompute ? one : 0);
  /** What passes while a layer runs backward: its feed-forward, or one of the sites that make their modules again. */
  const passingOf = (rows: number, slots: number): number => {
    if (rows === 0) return 0;
    const stream = sizes.wide(rows) - edge(rows);
    const feedForward = stream + 2 * sizes.of(rows, sizes.ff);
    if (!regenerate) return feedForward;
    if (!recompute) {
      const whole = (one: Generated): number => held(one) + extra(one);
      return Math.max(feedForward, stream + Math.max(made(1, whole, isAdapter), largest(whole)));
    }
    const ofAttention = made(slots, held, (name) => !isAdapter(name));
    return Math.max(
      feedForward + ofAttention,
      stream + ofAttention + made(1, (one) => held(one) + extra(one), isAdapter),
      stream + ofAttention + largest(extra) - adapted.feedForward(rows),
    );
  };
  const keyGradients = regenerate ? keys : 0;
  const layers = encoder + decoder + hyperencoder;
  const kept = layers + modules + generators;
  const phases = [
    kept +
      moduleGradients +
      keyGradients +
      sizes.of(input, d) +
      sizes.of(fused, d) +
      again(layer.decoder) +
      passingOf(target, 2),
    kept -
      decoder +
      moduleGradients +
      keyGradients +
      sizes.of(fused, d) +
      again(layer.encoder) +
      passingOf(input, 1),
    hyperencoder +
      generators +
      moduleGradients +
      keys +
      sizes.of(instruction, d) +
      (regenerate ? 0 : Math.max(0, ...all.map((one) => one.passing))),
    hyperencoder +
      again(layer.hyperencoder) +
      sizes.wide(instruction) +
      2 * sizes.of(instruction, sizes.ff) -
      (instruction ? edge(instruction) : 0),
  ];
  const peak = Math.max(...phases);
  return { layers, modules, generators, passing: peak - kept, peak };
}

/**
 * Multiply-adds that running layers, or generating modules, once more takes: roughly, to tell which of the two is cheaper.
 */
export function costOfRunningAgain(
  config: ModelConfig,
  { tasks, instruction, input, target }: BatchShape,
): { readonly layers: number; readonly modules: number } {
  const { hint, dModel: d, dFf, numLayers, numDecoderLayers } = config;
  const width = attentionWidth(config);
  const row = 4 * d * width + 3 * d * dFf;
  const read = hint && readsInstruction(hint) ? instruction : 0;
  const memory = input + (hint?.instructionFusion ? read : 0);
  const layers =
    numLayers * (input + read) * row +
    numDecoderLayers * (target * (row + 2 * d * width) + memory * 2 * d * width);
  if (!hint || !canRegenerate(config)) return { layers, modules: 0 };
  const attention =
    hint.generator === 'cross_attention' ? 1 : hint.generator === 'decoder' ? numDecoderLayers : 0;
  const modules = adaptationTable(config).map((one) => {
    const components = generatedSlots(config, one) * one.components;
    const attended = attention * (tasks * d * width + 2 * instruction * width);
    const made = (hint.generator === 'embedding' ? 1 : tasks) * d * (d + generatorOutputs(config, one));
    return components * (attended + made);
  });
  return { layers, modules: sum(modules) };
}
