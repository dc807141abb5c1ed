import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { HintError } from '../../util/errors.js';
import { readsInstruction, type HintConfig } from '../config/config.js';
import type { AdaptationName } from '../modules/adaptation-name.js';
import {
  adaptationTable,
  generatesBySlot,
  generatorOutputs,
  generatorWidth,
  type Adaptation,
} from '../modules/adaptations.js';
import { slotsOf } from '../modules/slots.js';
import type { GeneratedTensor, ModuleMaker, TaskModules } from '../modules/task-modules.js';
import { project } from '../t5/attention.js';
import { encode } from '../t5/encoder.js';
import type { Network } from '../t5/network.js';
import { NO_DROPOUT, type DropoutPlan } from '../trainable/dropout.js';
import { COMPONENT_ATTENTION } from '../weights/generator-folding.js';
import type { GeneratorLayers, GeneratorWeights } from '../weights/weights.js';
import { ComponentEmbeddings } from './component-embeddings.js';
import { generatedInPieces } from './generated-in-pieces.js';
import { hyperdecode, hyperdecoderBlock, type InstructionKeys } from './hyperdecoder.js';
import { runsLayersAgain, type BackwardPlan } from '../memory/backward-plan.js';
import { pad } from './padding.js';

/** The distinct instructions of a batch after the hyperencoder. */
export interface EncodedInstructions {
  /** [rows, dModel], pads never included. */
  rows: Tensor;
  /** tasks + 1 entries. */
  offsets: Int32Array;
}

export interface HypernetworkOptions {
  dropout?: DropoutPlan | undefined;
  /** Of the hyperencoder's layers, and of what reads the modules of a {@link Hypernetwork.maker}. */
  backward?: BackwardPlan | undefined;
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
  private readonly embeddings: ComponentEmbeddings;

  constructor(
    private readonly network: Network & { readonly weights: GeneratorWeights },
    private readonly hint: HintConfig,
  ) {
    this.table = adaptationTable(network.config);
    this.embeddings = new ComponentEmbeddings(network);
  }

  /** Whether the instruction is read at all. */
  get readsInstruction(): boolean {
    return readsInstruction(this.hint);
  }

  /** method §2.2: the model's own encoder (or a second one), without any module. */
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
    const kept = this.network.device.tensor(padded.real, [padded.real.length]);
    return { rows: ops.embedding(kept, rows), offsets };
  }

  private *encodeRows(
    { ids, offsets }: { ids: Int32Array; offsets: Int32Array },
    { dropout, backward }: HypernetworkOptions,
  ): Sliced<Tensor> {
    const { device } = this.network;
    const stack = this.hint.tieHyperencoder ? 'encoder' : 'hypernetwork.encoder';
    const tokens = device.tensor(ids, [ids.length]);
    const rows = yield* device.tidied(
      encode(this.network, { ids: tokens, offsets }, { stack, masks: 'hyperencoder', dropout, backward }),
    );
    tokens.dispose();
    return rows;
  }

  /** method §2.4 to method §2.5: every module of every task. `instructions` may be absent where they are not read. */
  generate(
    instructions: EncodedInstructions | undefined,
    options: HypernetworkOptions = {},
  ): Sliced<TaskModules> {
    return this.network.device.tidied(this.generateAll(instructions, options.dropout ?? NO_DROPOUT));
  }

  /** Whether {@link maker} can be used. */
  get generatesBySlot(): boolean {
    return generatesBySlot(this.network.config);
  }

  /**
   * {@link generate}, slot by slot and kind by kind when a layer asks: only the encoded instructions and their keys and
   * values in the generator's attention are held. They must live as long as the maker is used.
   */
  maker(
    instructions: EncodedInstructions | undefined,
    { dropout = NO_DROPOUT, backward }: HypernetworkOptions = {},
  ): ModuleMaker {
    const { device } = this.network;
    const keys = this.instructionKeys(instructions);
    const byName = new Map(this.table.map((adaptation) => [adaptation.name, adaptation]));
    // A layer may read a module twice (LoRA, of fused instructions and of inputs) before the scope it runs in ends.
    const made = new Map<string, Tensor>();
    return {
      names: new Set(byName.keys()),
      runsAgain: !runsLayersAgain(backward),
      generate: (name, slot) => {
        const known = made.get(`${name} ${slot}`);
        if (known && !known.disposed) return known;
        const adaptation = byName.get(name) as Adaptation;
        const tensor = device.now(
          device.tidied(this.generateOne(adaptation, instructions, keys, dropout, [slot])),
        );
        made.set(`${name} ${slot}`, tensor);
        return tensor;
      },
    };
  }

  private *generateAll(
    instructions: EncodedInstructions | undefined,
    dropout: DropoutPlan,
  ): Sliced<TaskModules> {
    const keys = this.instructionKeys(instructions);
    yield;
    const modules = new Map<AdaptationName, GeneratedTensor>();
    for (const adaptation of this.table) {
      const slots = slotsOf(this.network.config, adaptation.name);
      const made = yield* this.network.device.tidied(
        this.generateOne(adaptation, instructions, keys, dropout, slots),
      );
      yield;
      modules.set(adaptation.name, { tensor: made, slots });
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
          ? Array.from({ length: this.network.config.numDecoderLayers }, (_, layer) =>
              hyperdecoderBlock(layer),
            )
          : [];
    return blocks.map((block) => ({
      key: project(this.network, instructions.rows, block, 'k', undefined, 0),
      value: project(this.network, instructions.rows, block, 'v', undefined, 0),
    }));
  }

  private *generateOne(
    adaptation: Adaptation,
    instructions: EncodedInstructions | undefined,
    keys: readonly InstructionKeys[],
    dropout: DropoutPlan,
    slots: readonly number[],
  ): Sliced<Tensor> {
    const { config, weights } = this.network;
    const { name, shape } = adaptation;
    if (this.hint.generator === 'static') {
      const learned = weights.table(`peft.${name}`);
      return learned.reshape([1, ...learned.shape]);
    }
    const tasks = this.hint.generator === 'embedding' ? 1 : this.require(instructions).offsets.length - 1;
    const width = generatorWidth(config);
    const layers = weights.generator(name, tasks * slots.length * adaptation.components);
    const vectors = yield* this.componentVectors(adaptation, layers, instructions, keys, dropout, slots);
    yield;
    let z = layers.folded ? vectors : vectors.reshape([vectors.size / width, width]);
    if (this.hint.generatorLayerNorm) {
      z = ops.rmsNorm(z, weights.norm(`hypernetwork.${name}.layer_norm`), config.layerNormEpsilon);
    }
    const tanh = name.startsWith('prefix') && this.hint.prefixActivation === 'tanh';
    const activation = tanh ? 'tanh' : 'gelu';
    const masks = dropout.at('generator', adaptation.offset, 'hidden');
    let made: Tensor;
    if (this.network.device.tape || masks) {
      let hidden = layers.first(z, activation);
      if (masks)
        hidden = ops.dropout(hidden, masks, this.maskOffsets(adaptation, z.shape[0] as number, tasks, slots));
      made = layers.second(hidden);
    } else {
      made = yield* generatedInPieces(
        this.network.device,
        layers,
        z,
        activation,
        generatorOutputs(config, adaptation),
      );
    }
    // A raw reshape: the [A, d] block of adapter_down is read as [d, A], not transposed (method §2.5).
    return made.reshape([tasks, slots.length, ...shape]);
  }

  /**
   * Rows of the generators' hidden layer that share a mask: all components of a slot (method §2.5). Slots that are not generated
   * now have no rows, so that a slot's mask does not depend on what is generated with it.
   */
  private maskOffsets(
    adaptation: Adaptation,
    rows: number,
    tasks: number,
    slots: readonly number[],
  ): Int32Array {
    const { components } = adaptation;
    if (!this.generatesBySlot) {
      const together = this.hint.generator === 'hypter' ? 1 : components;
      return Int32Array.from({ length: rows / together + 1 }, (_, i) => i * together);
    }
    const all = slotsOf(this.network.config, adaptation.name);
    const offsets = new Int32Array(tasks * all.length + 1);
    for (let group = 0; group < tasks * all.length; group++) {
      const isGenerated = slots.includes(all[group % all.length] as number);
      offsets[group + 1] = (offsets[group] as number) + (isGenerated ? components : 0);
    }
    return offsets;
  }

  /** The vectors the generator of one kind reads, task after task. */
  private *componentVectors(
    adaptation: Adaptation,
    layers: GeneratorLayers,
    instructions: EncodedInstructions | undefined,
    keys: readonly InstructionKeys[],
    dropout: DropoutPlan,
    slots: readonly number[],
  ): Sliced<Tensor> {
    if (this.hint.generator === 'hypter') {
      const { rows, offsets } = this.require(instructions);
      return ops.segmentMean(rows, offsets);
    }
    if (this.hint.generator === 'embedding') return this.embeddings.of(adaptation, slots);
    const { offsets } = this.require(instructions);
    return this.hint.generator === 'decoder'
      ? yield* hyperdecode(this.network, this.embeddings.of(adaptation, slots), offsets, keys, dropout)
      : this.attend(adaptation, layers, offsets, keys[0] as InstructionKeys, dropout, slots);
  }

  /** method §2.4: one cross-attention; no norm, no residual. The queries do not depend on the task and are projected once. */
  private attend(
    adaptation: Adaptation,
    { folded }: GeneratorLayers,
    offsets: Int32Array,
    { key, value }: InstructionKeys,
    dropout: DropoutPlan,
    slots: readonly number[],
  ): Tensor {
    const { name } = adaptation;
    const { config, weights } = this.network;
    const queries = weights.componentQueries(name, () =>
      project(this.network, this.embeddings.of(adaptation, slots), COMPONENT_ATTENTION, 'q', undefined, 0),
    );
    const o = ops.attention(queries, key, value, {
      numHeads: config.numHeads,
      kOffsets: offsets,
      sharedQueries: true,
      dropout: dropout.at('generator', 0, 'attention') ?? dropout.at('hyperdecoder', 0, 'attention'),
    });
    return folded ? o : project(this.network, o, COMPONENT_ATTENTION, 'o', undefined, 0);
  }

  private require(instructions: EncodedInstructions | undefined): EncodedInstructions {
    if (instructions) return instructions;
    throw new HintError(
      'INVALID_ARGUMENT',
      `The generator "${this.hint.generator}" needs an instruction; give one.`,
    );
  }
}
