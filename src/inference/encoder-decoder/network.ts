import type { Ragged } from '../../data/batch.js';
import type { HintModel } from '../../model/hint/hint-model.js';
import type { CrossKeys, DecoderKeys } from '../../model/t5/t5.js';
import { prefixOptions, type TaskRows } from '../../model/modules/task-modules.js';
import type { Device } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { CompiledTasks } from '../compile/compiled-tasks.js';
import type { Cache, DecodeNetwork, DecodeStep, StepInputs } from '../contract/decode-network.js';

/** Decoding with T5 and HINT: the inputs' cross-attention keys and values are computed once, here. */
export class EncoderDecoderNetwork implements DecodeNetwork {
  private readonly offsets: Int32Array;
  private readonly sequenceTasks: TaskRows | undefined;
  private cross: CrossKeys[] = [];

  private constructor(
    private readonly model: HintModel,
    private readonly tasks: CompiledTasks,
    inputs: Ragged,
    private readonly taskIndex: Int32Array,
  ) {
    this.offsets = inputs.offsets;
    this.sequenceTasks = model.taskRows(tasks.encoded, taskIndex, inputs.offsets);
  }

  /** Enqueues the encoder, in slices. @throws HintError INVALID_TOKEN, INVALID_DATA (empty input) */
  static async open(
    model: HintModel,
    tasks: CompiledTasks,
    inputs: Ragged,
    taskIndex: Int32Array,
  ): Promise<EncoderDecoderNetwork> {
    const network = new EncoderDecoderNetwork(model, tasks, inputs, taskIndex);
    const { device } = model;
    network.cross = await device.inSlices(device.tidied(network.encode(inputs)));
    return network;
  }

  get device(): Device {
    return this.model.device;
  }

  get eosTokenId(): number {
    return this.model.config.eosTokenId;
  }

  get cacheLayers(): number {
    return this.model.config.numDecoderLayers;
  }

  get cacheWidth(): number {
    return this.model.config.numHeads * this.model.config.dKv;
  }

  get cacheDType(): ops.FloatDType {
    return this.model.t5.computeDtype;
  }

  startToken(): number {
    return this.model.config.decoderStartTokenId;
  }

  room(): number {
    return Infinity;
  }

  begin(rows: readonly number[]): DecodeStep {
    const { t5 } = this.model;
    const rowOffsets = Int32Array.from({ length: rows.length + 1 }, (_, i) => i);
    const tasks = this.model.taskRows(
      this.tasks.encoded,
      Int32Array.from(rows, (row) => this.taskIndex[row] as number),
      rowOffsets,
    );
    const keysOf = ({ caches, position }: StepInputs): DecoderKeys =>
      this.keys(rows, caches, position, tasks);
    return {
      *logits(inputs) {
        const tokens = { ids: inputs.token, offsets: rowOffsets };
        return t5.logits(yield* t5.decodeOver(tokens, keysOf(inputs), { tasks }));
      },
      dispose: () => undefined,
    };
  }

  dispose(): void {
    for (const { key, value } of this.cross) for (const tensor of [key, value]) tensor.dispose();
  }

  /** Inputs → encoder → keys and values of every decoder layer's cross-attention. */
  private *encode(inputs: Ragged): Sliced<CrossKeys[]> {
    const { model, tasks, taskIndex } = this;
    const { device, t5, config } = model;
    const memory = yield* model.encodeInputs(inputs, tasks.encoded, taskIndex);
    const cross: CrossKeys[] = [];
    for (let layer = 0; layer < config.numDecoderLayers; layer++) {
      const shared = tasks.shared[layer];
      const { key, value } = t5.crossKeys(layer, memory, this.sequenceTasks, shared);
      cross.push({ key: device.keep(key), value: device.keep(value), shared });
      yield;
    }
    return cross;
  }

  private keys(
    rows: readonly number[],
    caches: readonly Cache[],
    position: Tensor,
    rowTasks: TaskRows | undefined,
  ): DecoderKeys {
    const { t5, config } = this.model;
    // Rows that left ask nothing, so that the keys of their inputs can stay where they are.
    const queries = new Int32Array(this.offsets.length);
    for (const row of rows) queries[row + 1] = (queries[row + 1] as number) + 1;
    for (let i = 1; i < queries.length; i++) queries[i] = (queries[i] as number) + (queries[i - 1] as number);
    return {
      self: (q, k, v, layer) =>
        ops.decodeAttention(
          q,
          k,
          v,
          { ...(caches[layer] as Cache), position },
          {
            numHeads: config.numHeads,
            taskIndex: rowTasks?.taskIndex,
            ...prefixOptions(rowTasks, t5.decoderSlot(layer)),
            bias: t5.relativeBias('decoder'),
            maxDistance: config.relativeAttentionMaxDistance,
          },
        ),
      cross: (q, layer) =>
        t5.attendAcross(q, queries, this.offsets, this.cross[layer] as CrossKeys, layer, {
          tasks: this.sequenceTasks,
        }),
    };
  }
}
