import { concatenate, sequencesOf, type Ragged } from '../../data/batch.js';
import type { EncodedTasks, EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { CrossKeys, StepRows } from '../../model/t5/decoder-keys.js';
import { partedTaskRows, stackRows, type TaskRows } from '../../model/modules/task-modules.js';
import type { Device } from '../../tensor/device.js';
import type { FloatDType } from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { DecodeNetwork, DecodeStep } from '../contract/decode-network.js';
import type { JointRows, ReadingLimits } from '../contract/family.js';
import type { HintTasks } from './compile.js';
import type { ReadableTasks, TakenTasks } from './resting-tasks.js';

/** Decoding with T5 and HINT: the inputs' cross-attention keys and values are computed once, when it is opened. */
export class EncoderDecoderNetwork implements DecodeNetwork {
  private readonly sequenceTasks: TaskRows | undefined;

  private constructor(
    private readonly model: EncoderDecoderModel,
    private readonly taken: TakenTasks,
    private readonly offsets: Int32Array,
    private readonly taskIndex: Int32Array,
    private readonly cross: readonly CrossKeys[],
  ) {
    this.sequenceTasks = model.taskRows(taken.tasks.encoded, taskIndex, offsets);
  }

  /** Enqueues the encoder, in slices. @throws HintError INVALID_TOKEN, INVALID_DATA (empty input) */
  static async open(
    model: EncoderDecoderModel,
    tasks: HintTasks,
    inputs: Ragged,
    taskIndex: Int32Array,
    { tokenBudget }: ReadingLimits,
  ): Promise<EncoderDecoderNetwork> {
    const { device } = model;
    const taken = tasks.resting.take();
    const cross = await releasedOnFailure([taken], () =>
      device.inSlices(device.tidied(encode(model, taken.tasks, inputs, taskIndex, tokenBudget))),
    );
    return new EncoderDecoderNetwork(model, taken, inputs.offsets, taskIndex, cross);
  }

  /** As `JointDecoding.open`: the encoder runs over all inputs at once, whatever their tasks. */
  static async openJointly(
    model: EncoderDecoderModel,
    parts: readonly { readonly tasks: HintTasks; readonly inputs: Ragged }[],
  ): Promise<EncoderDecoderNetwork[]> {
    const { device } = model;
    const read = parts.map(({ tasks, inputs }) => ({ taken: tasks.resting.take(), inputs }));
    const cross = await releasedOnFailure(
      read.map(({ taken }) => taken),
      () => device.inSlices(device.tidied(encodeJointly(model, read))),
    );
    return read.map(({ taken, inputs: { offsets } }, i) => {
      const taskIndex = new Int32Array(offsets.length - 1);
      return new EncoderDecoderNetwork(model, taken, offsets, taskIndex, cross[i] as CrossKeys[]);
    });
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
    const offsets = rowOffsets(rows.length);
    const tasks = this.rowTasks(rows);
    const inputs = this.askedBy(rows);
    return {
      *logits({ token, caches, position }) {
        const keys = { kind: 'caches', parts: [{ tasks, caches, position, inputs }] } as const;
        return t5.logits(yield* t5.decode({ ids: token, offsets }, keys, { tasks }));
      },
      dispose: () => undefined,
    };
  }

  /** Enqueues one step of rows of several networks, as `JointDecoding.logits`. */
  static *jointLogits(
    { t5 }: EncoderDecoderModel,
    token: Tensor,
    joint: readonly JointRows<EncoderDecoderNetwork>[],
  ): Sliced<Tensor> {
    const offsets = rowOffsets(token.size);
    let end = 0;
    const parts = joint.map(({ network, rows, caches, position }): StepRows => {
      const range = [end, (end += rows.length)] as const;
      return {
        rows: range,
        tasks: network.rowTasks(rows),
        caches,
        position,
        inputs: network.askedBy(rows),
      };
    });
    const tasks = jointTaskRows(
      joint.map(({ network, rows }) => ({ tasks: network.taken.tasks, sequences: rows.length })),
      offsets,
    );
    return t5.logits(yield* t5.decode({ ids: token, offsets }, { kind: 'caches', parts }, { tasks }));
  }

  dispose(): void {
    for (const { key, value } of this.cross) for (const tensor of [key, value]) tensor.dispose();
    this.taken.release();
  }

  private rowTasks(rows: readonly number[]): TaskRows | undefined {
    const taskIndex = Int32Array.from(rows, (row) => this.taskIndex[row] as number);
    return this.model.taskRows(this.taken.tasks.encoded, taskIndex, rowOffsets(rows.length));
  }

  /** What the cross-attention of a step's rows reads. */
  private askedBy(rows: readonly number[]): StepRows['inputs'] {
    // Rows that left have no query, so the keys of their inputs need not be moved.
    const readers = new Int32Array(this.offsets.length);
    for (const row of rows) readers[row + 1] = (readers[row + 1] as number) + 1;
    for (let i = 1; i < readers.length; i++) readers[i] = (readers[i] as number) + (readers[i - 1] as number);
    return { offsets: this.offsets, readers, tasks: this.sequenceTasks, cross: this.cross };
  }
}

async function releasedOnFailure<T>(taken: readonly TakenTasks[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    for (const { release } of taken) release();
    throw error;
  }
}

/** Of rows that are a sequence of one token each. */
function rowOffsets(count: number): Int32Array {
  return Int32Array.from({ length: count + 1 }, (_, i) => i);
}

/** Inputs → encoder → keys and values of every decoder layer's cross-attention. */
function* encode(
  model: EncoderDecoderModel,
  { encoded, shared }: ReadableTasks,
  inputs: Ragged,
  taskIndex: Int32Array,
  tokenBudget: number,
): Sliced<CrossKeys[]> {
  const { device, t5, config } = model;
  const tasks = model.taskRows(encoded, taskIndex, inputs.offsets);
  const rows = yield* encodeInParts(model, encoded, inputs, taskIndex, tokenBudget);
  const memory = { encoded: rows, offsets: inputs.offsets, tasks };
  const cross: CrossKeys[] = [];
  for (let layer = 0; layer < config.numDecoderLayers; layer++) {
    const { key, value } = t5.crossKeys(layer, memory, tasks, shared[layer]);
    cross.push({ key: device.keep(key), value: device.keep(value), shared: shared[layer] });
    yield;
  }
  return cross;
}

/** The encoder's rows of all inputs, of which it reads some at a time: its activations take far more than its result. */
function* encodeInParts(
  model: EncoderDecoderModel,
  tasks: EncodedTasks,
  inputs: Ragged,
  taskIndex: Int32Array,
  tokenBudget: number,
): Sliced<Tensor> {
  const sequences = sequencesOf(inputs);
  const found: Tensor[] = [];
  for (let begin = 0, end = 0; begin < sequences.length; begin = end) {
    const first = inputs.offsets[begin] as number;
    do end++;
    while (end < sequences.length && (inputs.offsets[end + 1] as number) - first <= tokenBudget);
    const part = concatenate(sequences.slice(begin, end));
    const { encoded } = yield* model.encodeInputs(part, tasks, taskIndex.subarray(begin, end));
    found.push(encoded);
    yield;
  }
  const rows = stackRows(found);
  for (const tensor of found) if (tensor !== rows) tensor.dispose();
  return rows;
}

/** {@link encode} of inputs whose tasks were compiled apart: per part its window of the keys and values. */
function* encodeJointly(
  { device, t5, config }: EncoderDecoderModel,
  parts: readonly { readonly taken: TakenTasks; readonly inputs: Ragged }[],
): Sliced<CrossKeys[][]> {
  const { ids, offsets } = concatenate(parts.flatMap(({ inputs }) => sequencesOf(inputs)));
  const tasks = jointTaskRows(
    parts.map((part) => ({ tasks: part.taken.tasks, sequences: part.inputs.offsets.length - 1 })),
    offsets,
  );
  const encoded = yield* t5.encode({ ids: device.tensor(ids, [ids.length]), offsets }, { tasks });
  const layers: CrossKeys[] = [];
  for (let layer = 0; layer < config.numDecoderLayers; layer++) {
    layers.push(t5.crossKeys(layer, { encoded, offsets, tasks }, tasks));
    yield;
  }
  let end = 0;
  return parts.map((part) => {
    const begin = end;
    end += part.inputs.ids.length;
    return layers.map(({ key, value }, layer) => ({
      key: device.keep(key.narrow(begin, end)),
      value: device.keep(value.narrow(begin, end)),
      shared: part.taken.tasks.shared[layer],
    }));
  });
}

/** How rows belong to tasks that were compiled apart; undefined where the model has no modules. */
function jointTaskRows(
  parts: readonly { readonly tasks: ReadableTasks; readonly sequences: number }[],
  offsets: Int32Array,
): TaskRows | undefined {
  const merged: { modules: TaskRows['modules']; sequences: number }[] = [];
  for (const { tasks, sequences } of parts) {
    const { modules } = tasks.encoded;
    const last = merged.at(-1);
    if (last && (last.modules === modules || last.modules.size + modules.size === 0))
      last.sequences += sequences;
    else merged.push({ modules, sequences });
  }
  return merged.some(({ modules }) => modules.size > 0) ? partedTaskRows(merged, offsets) : undefined;
}
