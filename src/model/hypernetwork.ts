import * as ops from '../tensor/ops.js';
import type { Sliced } from '../tensor/slices.js';
import type { Tensor } from '../tensor/tensor.js';
import { HintError } from '../errors.js';
import { readsInstruction, type HintConfig } from './config.js';
import { NO_DROPOUT, type DropoutPlan } from './dropout.js';
import { COMPONENT_ATTENTION } from './inference-weights.js';
import {
  adaptationTable,
  generatorWidth,
  slotCount,
  type Adaptation,
  type AdaptationName,
} from './parameter-shapes.js';
import type { T5 } from './t5.js';
import type { GeneratedTensor, TaskModules } from './task-modules.js';

/** The distinct instructions of a batch after the hyperencoder. */
export interface EncodedInstructions {
  /** [rows, dModel], pads never included. */
  rows: Tensor;
  /** tasks + 1 entries. */
  offsets: Int32Array;
}

/** An attention's keys and values of the encoded instructions, [rows, attention width] each. */
interface InstructionKeys {
  key: Tensor;
  value: Tensor;
}

export interface HypernetworkOptions {
  dropout?: DropoutPlan | undefined;
  recompute?: boolean | undefined;
  /** Pad instructions to this length where instruction_padding_mask is false; 0: the longest of the batch. */
  instructionLength?: number | undefined;
}

/**
 * Instruction → hyperencoder → component cross-attention → generator MLPs → the task's modules (method §2).
 * It runs over the distinct tasks of a batch, and components that nothing reads are not computed.
 */
export class Hypernetwork {
  /** Instructions encoded so far; a compiled task must not add to it. */
  encodedTasks = 0;
  private readonly table: Adaptation[];
  private readonly rowIds = new Map<AdaptationName, Tensor>();

  constructor(
    private readonly t5: T5,
    private readonly hint: HintConfig,
  ) {
    this.table = adaptationTable(t5.config);
  }

  /** Whether the instruction is read at all. */
  get readsInstruction(): boolean {
    return readsInstruction(this.hint);
  }

  /** §2.2: the model's own encoder (or a second one), without any module. */
  *encode(
    instructions: { ids: Int32Array; offsets: Int32Array },
    options: HypernetworkOptions = {},
  ): Sliced<EncodedInstructions> {
    const { offsets } = instructions;
    this.encodedTasks += offsets.length - 1;
    if (this.hint.instructionPaddingMask)
      return { rows: yield* this.encodeRows(instructions, options), offsets };
    const padded = pad(instructions, options.instructionLength ?? 0);
    const rows = yield* this.encodeRows(padded, options);
    const kept = this.t5.device.tensor(padded.real, [padded.real.length]);
    return { rows: ops.embedding(kept, rows), offsets };
  }

  private *encodeRows(
    { ids, offsets }: { ids: Int32Array; offsets: Int32Array },
    { dropout, recompute }: HypernetworkOptions,
  ): Sliced<Tensor> {
    const { device } = this.t5;
    const stack = this.hint.tieHyperencoder ? 'encoder' : 'hypernetwork.encoder';
    const tokens = device.tensor(ids, [ids.length]);
    const rows = yield* device.tidied(
      this.t5.encode({ ids: tokens, offsets }, { stack, masks: 'hyperencoder', dropout, recompute }),
    );
    tokens.dispose();
    return rows;
  }

  /** §2.4–2.5: every module of every task. `instructions` may be absent where they are not read. */
  generate(
    instructions: EncodedInstructions | undefined,
    options: HypernetworkOptions = {},
  ): Sliced<TaskModules> {
    return this.t5.device.tidied(this.generateAll(instructions, options.dropout ?? NO_DROPOUT));
  }

  private *generateAll(
    instructions: EncodedInstructions | undefined,
    dropout: DropoutPlan,
  ): Sliced<TaskModules> {
    const keys = this.instructionKeys(instructions);
    const modules = new Map<AdaptationName, GeneratedTensor>();
    for (const adaptation of this.table) {
      const made = yield* this.t5.device.tidied(this.generateOne(adaptation, instructions, keys, dropout));
      yield;
      modules.set(adaptation.name, { tensor: made, slots: this.slotsOf(adaptation) });
    }
    return modules;
  }

  /** Keys and values of the instructions in every attention of the generator: all kinds of modules read the same. */
  private instructionKeys(instructions: EncodedInstructions | undefined): InstructionKeys[] {
    const { generator } = this.hint;
    if (!instructions || this.table.length === 0) return [];
    const blocks =
      generator === 'cross_attention'
        ? [COMPONENT_ATTENTION]
        : generator === 'decoder'
          ? Array.from({ length: this.t5.config.numDecoderLayers }, (_, layer) => hyperdecoderBlock(layer))
          : [];
    return blocks.map((block) => ({
      key: this.t5.project(instructions.rows, block, 'k', undefined, 0),
      value: this.t5.project(instructions.rows, block, 'v', undefined, 0),
    }));
  }

  /** The slots generated: adapters act once a layer, so those of cross-attention sites are left out where they can be. */
  private slotsOf({ name }: Adaptation): number[] {
    const { numLayers } = this.t5.config;
    const all = Array.from({ length: slotCount(this.t5.config) }, (_, slot) => slot);
    const generatedTogether = this.hint.perLayerGenerators || this.hint.generator === 'static';
    if (generatedTogether || !name.startsWith('adapter')) return all;
    return all.filter((slot) => slot < numLayers || (slot - numLayers) % 2 === 0);
  }

  private *generateOne(
    adaptation: Adaptation,
    instructions: EncodedInstructions | undefined,
    keys: readonly InstructionKeys[],
    dropout: DropoutPlan,
  ): Sliced<Tensor> {
    const { parameters } = this.t5;
    const { name, shape, components } = adaptation;
    if (this.hint.generator === 'static') {
      const learned = this.t5.table(`peft.${name}`);
      return learned.reshape([1, ...learned.shape]);
    }
    const tasks = this.hint.generator === 'embedding' ? 1 : this.require(instructions).offsets.length - 1;
    const slots = this.slotsOf(adaptation).length;
    const width = generatorWidth(this.t5.config);
    const vectors = yield* this.componentVectors(adaptation, instructions, keys, dropout);
    const packed = this.t5.inferenceWeights?.generator(name);
    let z = packed?.folded ? vectors : vectors.reshape([vectors.size / width, width]);
    if (this.hint.generatorLayerNorm) {
      z = ops.rmsNorm(
        z,
        parameters.get(`hypernetwork.${name}.layer_norm.weight`),
        this.t5.config.layerNormEpsilon,
      );
    }
    const tanh = name.startsWith('prefix') && this.hint.prefixActivation === 'tanh';
    const activation = tanh ? 'tanh' : 'gelu';
    let hidden = packed
      ? ops.packedLinear(z, packed.first, { activation })
      : ops.linear(z, this.t5.matrix(`hypernetwork.${name}.wi.weight`), { activation });
    // One mask for all components of a slot (§2.5).
    const perMask = this.hint.generator === 'hypter' ? 1 : components;
    const seqOffsets = Int32Array.from(
      { length: (z.shape[0] as number) / perMask + 1 },
      (_, i) => i * perMask,
    );
    hidden = ops.dropout(hidden, dropout.at('generator', adaptation.offset, 'hidden'), seqOffsets);
    const made = packed
      ? ops.packedLinear(hidden, packed.second)
      : ops.linear(hidden, this.t5.matrix(`hypernetwork.${name}.wo.weight`), {
          alpha: 1 / Math.sqrt(width),
        });
    // A raw reshape: the [A, d] block of adapter_down is read as [d, A], not transposed (§2.5).
    return made.reshape([tasks, slots, ...shape]);
  }

  /** The vectors the generator of one kind reads, task after task. */
  private *componentVectors(
    adaptation: Adaptation,
    instructions: EncodedInstructions | undefined,
    keys: readonly InstructionKeys[],
    dropout: DropoutPlan,
  ): Sliced<Tensor> {
    if (this.hint.generator === 'hypter') {
      const { rows, offsets } = this.require(instructions);
      return ops.segmentMean(rows, offsets);
    }
    if (this.hint.generator === 'embedding') return this.embeddings(adaptation);
    const { offsets } = this.require(instructions);
    return this.hint.generator === 'decoder'
      ? yield* this.hyperdecode(this.embeddings(adaptation), offsets, keys, dropout)
      : this.attend(adaptation, offsets, keys[0] as InstructionKeys, dropout);
  }

  private embeddings(adaptation: Adaptation): Tensor {
    return ops.embedding(this.embeddingRows(adaptation), this.t5.table('hypernetwork.embedding.weight'));
  }

  /** §2.4: one cross-attention; no norm, no residual. The queries do not depend on the task and are projected once. */
  private attend(
    adaptation: Adaptation,
    offsets: Int32Array,
    { key, value }: InstructionKeys,
    dropout: DropoutPlan,
  ): Tensor {
    const { name } = adaptation;
    const inference = this.t5.inferenceWeights;
    const project = (): Tensor =>
      this.t5.project(this.embeddings(adaptation), COMPONENT_ATTENTION, 'q', undefined, 0);
    const o = ops.attention(inference ? inference.componentQueries(name, project) : project(), key, value, {
      numHeads: this.t5.config.numHeads,
      kOffsets: offsets,
      sharedQueries: true,
      dropout: dropout.at('generator', 0, 'attention') ?? dropout.at('hyperdecoder', 0, 'attention'),
    });
    return inference?.generator(name)?.folded
      ? o
      : this.t5.project(o, COMPONENT_ATTENTION, 'o', undefined, 0);
  }

  /** §3.4: the embeddings through T5 decoder layers without self-attention, with residuals and norms. */
  private *hyperdecode(
    embeddings: Tensor,
    offsets: Int32Array,
    keys: readonly InstructionKeys[],
    dropout: DropoutPlan,
  ): Sliced<Tensor> {
    const count = embeddings.shape[0] as number;
    const tasks = offsets.length - 1;
    const device = this.t5.device;
    const repeated = Int32Array.from({ length: tasks * count }, (_, i) => i % count);
    const taskOffsets = Int32Array.from({ length: tasks + 1 }, (_, task) => task * count);
    let x = ops.embedding(device.tensor(repeated, [repeated.length]), embeddings);
    let delta: Tensor | undefined;
    let pending: ReturnType<DropoutPlan['at']>;
    const masks = 'hyperdecoder' as const;
    for (let j = 0; j < this.t5.config.numDecoderLayers; j++) {
      const layer = `hypernetwork.decoder.block.${j}.layer`;
      const block = hyperdecoderBlock(j);
      const { key, value } = keys[j] as InstructionKeys;
      const attended = this.t5.addNorm({ x, delta, dropout: pending }, `${layer}.1.layer_norm`, taskOffsets);
      const o = ops.attention(this.t5.project(attended.y, block, 'q', undefined, 0), key, value, {
        numHeads: this.t5.config.numHeads,
        qOffsets: taskOffsets,
        kOffsets: offsets,
        dropout: dropout.at(masks, j, 'cross-attention'),
      });
      const fed = this.t5.addNorm(
        {
          x: attended.x,
          delta: this.t5.project(o, block, 'o', undefined, 0),
          dropout: dropout.at(masks, j, 'cross-attention-output'),
        },
        `${layer}.2.layer_norm`,
        taskOffsets,
      );
      x = fed.x;
      delta = this.t5.denseReluDense(fed.y, `${layer}.2`, { offsets: taskOffsets, layer: j, dropout, masks });
      pending = dropout.at(masks, j, 'feed-forward-output');
      yield;
    }
    const { y } = this.t5.addNorm(
      { x, delta, dropout: pending },
      'hypernetwork.decoder.final_layer_norm',
      taskOffsets,
    );
    return ops.dropout(y, dropout.at(masks, 0, 'final'), taskOffsets);
  }

  /** Rows of the embedding table that hold one kind's components, slot after slot. */
  private embeddingRows(adaptation: Adaptation): Tensor {
    const known = this.rowIds.get(adaptation.name);
    if (known) return known;
    const { components, offset } = adaptation;
    const perSlot = this.table.reduce((total, { components: count }) => total + count, 0);
    let rows: number[];
    if (this.hint.perLayerGenerators) {
      // A plain reshape puts `embeddingSlots` consecutive rows side by side (§3.4), so a component owns that many.
      const side = this.hint.embeddingSlots;
      rows = Array.from({ length: components * side }, (_, i) => offset * side + i);
    } else {
      rows = this.slotsOf(adaptation).flatMap((slot) =>
        Array.from({ length: components }, (_, c) => slot * perSlot + offset + c),
      );
    }
    const device = this.t5.device;
    const ids = device.keep(device.tensor(Int32Array.from(rows), [rows.length]));
    this.rowIds.set(adaptation.name, ids);
    return ids;
  }

  private require(instructions: EncodedInstructions | undefined): EncodedInstructions {
    if (instructions) return instructions;
    throw new HintError(
      'INVALID_ARGUMENT',
      `The generator "${this.hint.generator}" needs an instruction; give one.`,
    );
  }
}

function hyperdecoderBlock(layer: number): string {
  return `hypernetwork.decoder.block.${layer}.layer.1.EncDecAttention`;
}

/** Right-pads to one length with token 0, and lists which rows are real. */
function pad(
  sequences: { ids: Int32Array; offsets: Int32Array },
  length: number,
): { ids: Int32Array; offsets: Int32Array; real: Int32Array } {
  const { ids, offsets } = sequences;
  const count = offsets.length - 1;
  let longest = Math.max(1, length);
  for (let i = 0; i < count; i++)
    longest = Math.max(longest, (offsets[i + 1] as number) - (offsets[i] as number));
  const padded = new Int32Array(count * longest);
  const real: number[] = [];
  for (let i = 0; i < count; i++) {
    const sequence = ids.subarray(offsets[i], offsets[i + 1]);
    padded.set(sequence, i * longest);
    sequence.forEach((_, position) => real.push(i * longest + position));
  }
  return {
    ids: padded,
    offsets: Int32Array.from({ length: count + 1 }, (_, i) => i * longest),
    real: Int32Array.from(real),
  };
}
