import type { Ragged } from '../../data/batch.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { CrossKeys, StepRows } from '../../model/t5/decoder-keys.js';
import type { TaskRows } from '../../model/modules/task-modules.js';
import type { Device } from '../../tensor/device.js';
import type { FloatDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { CompiledTasks } from '../compile/compiled-tasks.js';
import type { DecodeNetwork, DecodeStep } from '../contract/decode-network.js';

/** Decoding with T5 and HINT: the inputs' cross-attention keys and values are computed once, here. */
export class EncoderDecoderNetwork implements DecodeNetwork {
  private readonly offsets: Int32Array;
  private readonly sequenceTasks: TaskRows | undefined;
  private cross: CrossKeys[] = [];

  private constructor(
    private readonly model: EncoderDecoderModel,
    private readonly tasks: CompiledTasks,
    inputs: Ragged,
    private readonly taskIndex: Int32Array,
  ) {
    this.offsets = inputs.offsets;
    this.sequenceTasks = model.taskRows(tasks.encoded, taskIndex, inputs.offsets);
  }

  /** Enqueues the encoder, in slices. @throws HintError INVALID_TOKEN, INVALID_DATA (empty input) */
  static async open(
    model: EncoderDecoderModel,
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

  get cacheDType(): FloatDType {
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
    const inputs = this.askedBy(rows);
    return {
      *logits({ token, caches, position }) {
        const keys = { kind: 'caches', parts: [{ tasks, caches, position, inputs }] } as const;
        return t5.logits(yield* t5.decode({ ids: token, offsets: rowOffsets }, keys, { tasks }));
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

  /** What the cross-attention of a step's rows reads. */
  private askedBy(rows: readonly number[]): StepRows['inputs'] {
    // Rows that left ask nothing, so that the keys of their inputs can stay where they are.
    const readers = new Int32Array(this.offsets.length);
    for (const row of rows) readers[row + 1] = (readers[row + 1] as number) + 1;
    for (let i = 1; i < readers.length; i++) readers[i] = (readers[i] as number) + (readers[i - 1] as number);
    return { offsets: this.offsets, readers, tasks: this.sequenceTasks, cross: this.cross };
  }
}
