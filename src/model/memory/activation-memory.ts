import type { FloatDType } from '../../tensor/ops.js';
import type { RaggedBatch } from '../../data/batch.js';
import { backwardPlan, makesModulesAgain, runsLayersAgain, type BackwardPlan } from './backward-plan.js';
import { readsInstruction, type ModelConfig } from '../config/config.js';
import { feedForwardMatrices } from '../config/variant.js';
import {
  adaptationTable,
  attentionWidth,
  generatesBySlot,
  generatorOutputs,
} from '../modules/adaptations.js';
import { slotsOf } from '../modules/slots.js';
import { LayerBytes, Sizes, type Generated } from './kept-by-layers.js';
import { generatorAttentions, ModuleMemory, sum } from './module-memory.js';

/** How many there are of what a microbatch is made of. */
export interface BatchShape {
  /** Distinct instructions, and their tokens; both 0 where nothing reads them. */
  readonly tasks: number;
  /** Tokens of all distinct instructions. */
  readonly instruction: number;
  /** Tokens of all inputs, and of all targets. */
  readonly input: number;
  /** Tokens of all targets, ends of sequence included. */
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

/**
 * Estimates the most that forward and backward pass of a microbatch take at a time, from shapes alone. What kernels need
 * for their own duration is not counted.
 */
export function activationMemory(
  config: ModelConfig,
  dtype: FloatDType,
  shape: BatchShape,
  backward: BackwardPlan,
): ActivationMemory {
  const plan = backwardPlan({
    layers: runsLayersAgain(backward),
    modules: makesModulesAgain(backward) && generatesBySlot(config),
  });
  const step = new StepMemory(config, dtype, shape, plan);
  const { layers, modules, generators } = step;
  const kept = layers + modules + generators;
  const peak = Math.max(
    step.atDecoder(kept),
    step.atEncoder(kept),
    step.atGenerators(),
    step.atHyperencoder(),
  );
  return { layers, modules, generators, passing: peak - kept, peak };
}

/**
 * A step's memory. The backward pass meets decoder, encoder, generators and hyperencoder in this order and gives back what
 * each kept as it leaves it, so that the most is taken at one of these four.
 */
class StepMemory {
  /** Kept by the layers of all stacks. */
  readonly layers: number;
  /** Kept of the modules. */
  readonly modules: number;
  /** Kept by the generators: the instructions' keys and values, and what was computed between them and the modules. */
  readonly generators: number;
  private readonly sizes: Sizes;
  private readonly adapted: LayerBytes;
  private readonly generated: ModuleMemory;
  private readonly rows: { input: number; target: number; instruction: number; fused: number };
  /** Of one layer of each stack, */
  private readonly layer: { encoder: number; decoder: number; hyperencoder: number };
  /** and of each whole stack. */
  private readonly stacks: { encoder: number; decoder: number; hyperencoder: number };
  /** Keys and values of the instructions in the generators' attentions. */
  private readonly keys: number;

  constructor(
    config: ModelConfig,
    dtype: FloatDType,
    shape: BatchShape,
    private readonly plan: BackwardPlan,
  ) {
    const { hint, numLayers, numDecoderLayers } = config;
    const [recompute, regenerate] = [runsLayersAgain(plan), makesModulesAgain(plan)];
    const reads = hint !== undefined && readsInstruction(hint);
    const instruction = reads ? shape.instruction : 0;
    const fused = hint?.instructionFusion ? instruction : 0;
    const { input, target } = shape;
    this.rows = { input, target, instruction, fused };
    this.sizes = new Sizes(config, dtype);
    this.adapted = new LayerBytes(this.sizes, hint, regenerate && !recompute);
    const plain = new LayerBytes(this.sizes, undefined, false);
    this.layer = {
      encoder: this.adapted.encoder(input),
      decoder: this.adapted.decoder(target, { input, instruction: fused }),
      hyperencoder: plain.encoder(instruction),
    };
    this.stacks = {
      encoder: this.stack(input, numLayers, this.layer.encoder),
      decoder: this.stack(target, numDecoderLayers, this.layer.decoder),
      hyperencoder: this.stack(instruction, numLayers, this.layer.hyperencoder),
    };
    const generates = hint !== undefined && (!reads || instruction > 0);
    this.generated = new ModuleMemory(this.sizes, generates ? hint : undefined, shape.tasks);
    this.keys = 2 * this.generated.attentions * this.sizes.of(instruction, this.sizes.width);
    this.layers = this.stacks.encoder + this.stacks.decoder + this.stacks.hyperencoder;
    const { all } = this.generated;
    this.modules = regenerate ? 0 : sum(all.map((one) => one.modules));
    this.generators = this.keys + (regenerate ? 0 : sum(all.map((one) => one.activations)));
  }

  /** While the decoder's last layer runs backward: all that was kept is still there. */
  atDecoder(kept: number): number {
    const { input, target, fused } = this.rows;
    const encoded = this.sizes.of(input, this.sizes.d) + this.sizes.of(fused, this.sizes.d);
    return (
      kept + this.moduleGradients + encoded + this.runningAgain(this.layer.decoder) + this.passing(target, 2)
    );
  }

  /** While the encoder's last layer runs backward: what the decoder kept is gone. */
  atEncoder(kept: number): number {
    const { input, fused } = this.rows;
    return (
      kept -
      this.stacks.decoder +
      this.moduleGradients +
      this.sizes.of(fused, this.sizes.d) +
      this.runningAgain(this.layer.encoder) +
      this.passing(input, 1)
    );
  }

  /** While the generators run backward: modules have become their gradients. */
  atGenerators(): number {
    const { all } = this.generated;
    return (
      this.stacks.hyperencoder +
      this.generators +
      this.modules +
      this.keys +
      this.sizes.of(this.rows.instruction, this.sizes.d) +
      (makesModulesAgain(this.plan) ? 0 : Math.max(0, ...all.map((one) => one.passing)))
    );
  }

  /** While the hyperencoder's last layer runs backward. */
  atHyperencoder(): number {
    const { sizes } = this;
    const { instruction } = this.rows;
    return (
      this.stacks.hyperencoder +
      this.runningAgain(this.layer.hyperencoder) +
      sizes.wide(instruction) +
      2 * sizes.of(instruction, sizes.ff) -
      (instruction ? sizes.norm(instruction) : 0)
    );
  }

  /** Gradients of the modules, or, where these are made again, of the keys and values that they are made from. */
  private get moduleGradients(): number {
    return this.modules + (makesModulesAgain(this.plan) ? this.keys : 0);
  }

  /** What `layers` layers of `one` byte count each keep, and the norm behind them. */
  private stack(rows: number, layers: number, one: number): number {
    if (rows === 0) return 0;
    const { sizes } = this;
    const stream = sizes.wide(rows) + sizes.of(rows, sizes.d);
    const kept = runsLayersAgain(this.plan)
      ? layers * stream - sizes.of(rows, sizes.d)
      : layers * one + sizes.wide(rows);
    return sizes.norm(rows) + kept;
  }

  private runningAgain(layer: number): number {
    return runsLayersAgain(this.plan) ? layer : 0;
  }

  /**
   * What passes while a layer runs backward: its feed-forward, or one of the sites that make their modules again.
   *
   * @param slots that the layer's attentions have
   */
  private passing(rows: number, slots: number): number {
    if (rows === 0) return 0;
    const { sizes, generated } = this;
    const [recompute, regenerate] = [runsLayersAgain(this.plan), makesModulesAgain(this.plan)];
    const stream = sizes.wide(rows) - sizes.norm(rows);
    const feedForward = stream + 2 * sizes.of(rows, sizes.ff);
    if (!regenerate) return feedForward;
    const held = ({ modules, activations }: Generated): number => modules + activations;
    // The generators of a slot run backward one after the other.
    const extra = (one: Generated): number => one.modules + one.passing / 2;
    const whole = (one: Generated): number => held(one) + extra(one);
    if (!recompute)
      return Math.max(feedForward, stream + Math.max(generated.ofAdapter(whole), generated.ofLargest(whole)));
    const ofAttentions = generated.ofAttentions(slots, held);
    return Math.max(
      feedForward + ofAttentions,
      stream + ofAttentions + generated.ofAdapter(whole),
      stream + ofAttentions + generated.ofLargest(extra) - this.adapted.feedForward(rows),
    );
  }
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
  const row = 4 * d * width + feedForwardMatrices(config) * d * dFf;
  const read = hint && readsInstruction(hint) ? instruction : 0;
  const memory = input + (hint?.instructionFusion ? read : 0);
  const layers =
    numLayers * (input + read) * row +
    numDecoderLayers * (target * (row + 2 * d * width) + memory * 2 * d * width);
  if (!hint || !generatesBySlot(config)) return { layers, modules: 0 };
  const attention = generatorAttentions(config, hint);
  const modules = adaptationTable(config).map((one) => {
    const components = slotsOf(config, one.name).length * one.components;
    const attended = attention * (tasks * d * width + 2 * instruction * width);
    const made = (hint.generator === 'embedding' ? 1 : tasks) * d * (d + generatorOutputs(config, one));
    return components * (attended + made);
  });
  return { layers, modules: sum(modules) };
}
