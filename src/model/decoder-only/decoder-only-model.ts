import { checkTokenIds, concatenate, type Ragged, type RaggedBatch } from '../../data/batch.js';
import { HintError } from '../../util/errors.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { runLayer, type Stream } from '../layers/stream.js';
import type { ActivationMemory, BatchShape } from '../memory/activation-memory.js';
import { runsLayersAgain, type BackwardPlan } from '../memory/backward-plan.js';
import type { ParameterStore } from '../parameters/parameter-store.js';
import { NO_DROPOUT, type DropoutPlan } from '../trainable/dropout.js';
import type { ForwardOptions, StoredTensor, TrainableModel } from '../trainable/trainable.js';
import { TrainingWeights } from '../weights/training-weights.js';
import type { Weights } from '../weights/weights.js';
import { decoderOnlyActivationMemory } from './activation-memory.js';
import { serializeDecoderOnlyConfig, type DecoderOnlyConfig } from './config.js';
import { addNorm, decoderOnlyLayer, type Attend } from './layer.js';
import { join, namePrefixes, storedGroups, storedShape } from './layout.js';
import { promptTokens } from './prompt.js';

/** Rows of sequences on the device, each with its place in its sequence. */
export interface PlacedTokens {
  /** i32 [rows]. */
  ids: Tensor;
  /** i32 [rows]: rows of the position table. */
  positions: Tensor;
}

/**
 * GPT-2 or OPT over ragged rows (method §3.5). Dropout is where Hugging Face's classes have it; masks are drawn for
 * every unit of every row, and for attention per head and key.
 */
export class DecoderOnlyModel implements TrainableModel {
  readonly weights: Weights;

  constructor(
    readonly device: Device,
    readonly config: DecoderOnlyConfig,
    readonly parameters: ParameterStore,
  ) {
    this.weights = new TrainingWeights(parameters);
  }

  /**
   * Cross entropy and z-loss of the target tokens only: each example is one causal sequence of instruction, input and
   * target.
   *
   * @throws HintError INVALID_TOKEN, INVALID_DATA for a sequence longer than the model has positions
   */
  loss(
    batch: RaggedBatch,
    options: ForwardOptions & { zLoss?: number } = {},
  ): Sliced<{ loss: Tensor; zTerm: Tensor }> {
    const work = this.untidyLoss(batch, options);
    // Layers that run again in the backward pass still need what they read.
    return runsLayersAgain(options.backward) ? work : this.device.tidied(work);
  }

  private *untidyLoss(
    batch: RaggedBatch,
    options: ForwardOptions & { zLoss?: number },
  ): Sliced<{ loss: Tensor; zTerm: Tensor }> {
    const { sequences, predicting } = this.trainingSequences(batch);
    checkTokenIds(batch.targets.ids, this.config.vocabSize);
    const hidden = yield* this.run(
      this.place(sequences),
      this.attendWithin(sequences.offsets, options.dropout),
      options,
    );
    return this.targetLosses(hidden, predicting, batch.targets.ids, options.zLoss);
  }

  /**
   * Cross entropy and z-loss of target tokens, each [targets].
   *
   * @param hidden rows after {@link run}
   * @param predicting per target the row it is predicted from
   */
  targetLosses(
    hidden: Tensor,
    predicting: Int32Array,
    targets: Int32Array,
    zLoss = 0,
  ): { loss: Tensor; zTerm: Tensor } {
    const integers = (values: Int32Array): Tensor => this.device.tensor(values, [values.length]);
    // A table's rows by number are also how some rows are picked out, with their gradient.
    const rows = this.toHead(ops.embedding(integers(predicting), hidden));
    return ops.crossEntropy(rows, this.weights.table(`${this.headLayer}.weight`), integers(targets), {
      zLoss,
    });
  }

  /** Logits of every row of causal sequences, [rows, vocabSize]; for tests and comparisons. */
  forward(sequences: Ragged): Tensor {
    return this.device.tidy(() =>
      this.logits(this.device.now(this.run(this.place(sequences), this.attendWithin(sequences.offsets)))),
    );
  }

  /** The tokens on the device, with their positions from `first` (per sequence) on. */
  place(sequences: Ragged, first?: ArrayLike<number>): PlacedTokens {
    const { vocabSize, maxPositions, positionOffset } = this.config;
    checkTokenIds(sequences.ids, vocabSize);
    const { ids, offsets } = sequences;
    const positions = new Int32Array(ids.length);
    for (let i = 0; i + 1 < offsets.length; i++) {
      const [begin, end] = [offsets[i] as number, offsets[i + 1] as number];
      const start = first?.[i] ?? 0;
      if (start + end - begin > maxPositions) {
        throw new HintError(
          'INVALID_DATA',
          `Sequence number ${i} has ${start + end - begin} tokens, but the model has ${maxPositions} positions; shorten instruction, input or target (maxInstructionTokens, maxInputTokens, maxTargetTokens).`,
        );
      }
      for (let row = begin; row < end; row++) positions[row] = positionOffset + start + row - begin;
    }
    return {
      ids: this.device.tensor(ids, [ids.length]),
      positions: this.device.tensor(positions, [ids.length]),
    };
  }

  /** Causal self-attention of whole sequences. */
  attendWithin(offsets: Int32Array, dropout: DropoutPlan = NO_DROPOUT): Attend {
    const { numHeads, attentionDropout } = this.config;
    return (q, k, v, layer) =>
      ops.attention(q, k, v, {
        numHeads,
        qOffsets: offsets,
        kOffsets: offsets,
        causal: true,
        dropout: attentionDropout ? dropout.at('decoder', layer, 'attention') : undefined,
      });
  }

  /** Tokens through all layers and the final norm: [rows, dModel]. */
  *run({ ids, positions }: PlacedTokens, attend: Attend, options: ForwardOptions = {}): Sliced<Tensor> {
    const { numLayers, finalNorm, embeddingDropout } = this.config;
    const { dropout = NO_DROPOUT, backward } = options;
    const site = embeddingDropout ? dropout.at('decoder', 0, 'embedding') : undefined;
    let stream: Stream = {
      x: ops.dropout(this.embed(ids, positions), site),
      delta: undefined,
      dropout: undefined,
    };
    for (let index = 0; index < numLayers; index++) {
      const at = { index, attend, dropout };
      stream = yield* runLayer(this.device, stream, backward, (input) => decoderOnlyLayer(this, input, at));
      yield;
    }
    if (finalNorm) return addNorm(this, stream, 'final_norm').y;
    if (!stream.delta) return stream.x;
    return ops.add(stream.x, ops.dropout(stream.delta, stream.dropout), {
      outputDType: this.weights.computeDtype,
    });
  }

  /** Logits of rows after {@link run}, f32 [rows, vocabSize]. */
  logits(hidden: Tensor): Tensor {
    return this.weights.multiply(this.toHead(hidden), this.headLayer, { outputDType: 'f32' });
  }

  activationMemory(shape: BatchShape, backward: BackwardPlan): ActivationMemory {
    return decoderOnlyActivationMemory(this.config, this.parameters.computeDtype, shape, backward);
  }

  costOfRunningAgain({ input, target, repeatedInstruction }: BatchShape): {
    layers: number;
    modules: number;
  } {
    const { dModel: d, dFf, numLayers } = this.config;
    const rows = input + target + repeatedInstruction;
    return { layers: numLayers * rows * (4 * d * d + 2 * d * dFf), modules: 0 };
  }

  configFile(): Record<string, unknown> {
    return serializeDecoderOnlyConfig(this.config);
  }

  storedTensors(): StoredTensor[] {
    const [prefix = ''] = namePrefixes(this.config);
    return storedGroups(this.config).map((group) => {
      const names = group.parameters;
      const shapes = names.map((name) => this.parameters.stored(name).shape);
      return {
        name: group.bare ? group.name : prefix + group.name,
        shape: storedShape(group, shapes),
        read: async () =>
          join(group, shapes, await Promise.all(names.map((name) => this.parameters.read(name)))),
      };
    });
  }

  dispose(): void {
    this.parameters.dispose();
  }

  private get headLayer(): string {
    return this.config.tiedHead ? 'tokens' : 'head';
  }

  /** Whether token embeddings have a width of their own (OPT-350m). */
  private get isProjected(): boolean {
    return this.config.embeddingSize !== this.config.dModel;
  }

  private toHead(hidden: Tensor): Tensor {
    return this.isProjected ? this.weights.multiply(hidden, 'project_out') : hidden;
  }

  private embed(ids: Tensor, positions: Tensor): Tensor {
    const { weights } = this;
    const wide = this.isProjected
      ? weights.multiply(weights.gather(ids, 'tokens.weight'), 'project_in', { outputDType: 'f32' })
      : weights.gather(ids, 'tokens.weight', weights.streamDtype);
    // Without norms in front, the first block reads the sum itself.
    const outputDType = this.config.normBefore ? weights.streamDtype : weights.computeDtype;
    const place = weights.gather(positions, 'positions.weight', weights.streamDtype);
    return ops.add(wide, place, { outputDType });
  }

  /** Prompt and target, without its last token, of every example; and the rows that predict target tokens. */
  private trainingSequences({ instructions, inputs, targets, taskIndex }: RaggedBatch): {
    sequences: Ragged;
    predicting: Int32Array;
  } {
    const fed: Int32Array[] = [];
    const predicting = new Int32Array(targets.ids.length);
    let rows = 0;
    for (let i = 0; i + 1 < targets.offsets.length; i++) {
      const [begin, end] = [targets.offsets[i] as number, targets.offsets[i + 1] as number];
      const instruction =
        instructions.offsets.length > 1 ? sequenceOf(instructions, taskIndex[i] as number) : [];
      const { instruction: first, input } = promptTokens(this.config, instruction, sequenceOf(inputs, i));
      const prompt = first.length + input.length;
      fed.push(Int32Array.of(...first, ...input, ...targets.ids.subarray(begin, end - 1)));
      for (let at = begin; at < end; at++) predicting[at] = rows + prompt - 1 + at - begin;
      rows += prompt + end - begin - 1;
    }
    return { sequences: concatenate(fed), predicting };
  }
}

function sequenceOf({ ids, offsets }: Ragged, index: number): Int32Array {
  return ids.subarray(offsets[index], offsets[index + 1]);
}
