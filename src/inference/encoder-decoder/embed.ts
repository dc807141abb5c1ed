import { concatenate } from '../../data/batch.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { asFloat32 } from '../../model/parameters/dtypes.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { abortable } from '../../util/abortable.js';
import type { EmbedOptions } from '../contract/family.js';
import type { HintTasks } from './compile.js';

const TOKEN_BUDGET = 4096;

/**
 * Encoder states after the final norm of inputs, with a task's modules.
 *
 * @param inputs at least one token each
 * @returns per input [dModel] values, or [tokens, dModel] not pooled
 * @throws HintError INVALID_DATA (an empty input), INVALID_TOKEN, OUT_OF_MEMORY, ABORTED
 */
export async function embedInputs(
  model: EncoderDecoderModel,
  task: HintTasks,
  inputs: readonly Int32Array[],
  { pooled = true, signal }: EmbedOptions = {},
): Promise<Float32Array[]> {
  await model.prepareInference();
  const width = model.config.dModel;
  const results: Float32Array[] = [];
  for (let begin = 0; begin < inputs.length;) {
    throwIfAborted(signal);
    let end = begin;
    let tokens = 0;
    while (
      end < inputs.length &&
      (end === begin || tokens + (inputs[end] as Int32Array).length <= TOKEN_BUDGET)
    )
      tokens += (inputs[end++] as Int32Array).length;
    const batch = concatenate(inputs.slice(begin, end));
    const { device } = model;
    const rows = await device.inSlices(device.tidied(encode(model, task, batch, pooled)));
    const values = await abortable(
      rows.read().finally(() => rows.dispose()),
      signal,
    );
    for (let i = 0; i < end - begin; i++) {
      const [from, to] = pooled ? [i, i + 1] : [batch.offsets[i] as number, batch.offsets[i + 1] as number];
      results.push(values.slice(from * width, to * width));
    }
    begin = end;
  }
  return results;
}

function* encode(
  model: EncoderDecoderModel,
  { resting }: HintTasks,
  inputs: { ids: Int32Array; offsets: Int32Array },
  pooled: boolean,
): Sliced<Tensor> {
  const tasks = new Int32Array(inputs.offsets.length - 1);
  const { encoded: rows } = yield* model.encodeInputs(inputs, resting.readable().encoded, tasks);
  const states = asFloat32(rows);
  return pooled ? ops.segmentMean(states, inputs.offsets) : states;
}

/**
 * The encoded instruction of a task: what fusion reads, or the mean of it over its tokens.
 *
 * @returns [dModel] values, or [tokens, dModel] not pooled
 * @throws HintError NOT_SUPPORTED where no instruction is encoded, ABORTED
 */
export async function embedInstruction(
  model: EncoderDecoderModel,
  { encoded: { instructions } }: HintTasks,
  { pooled = true, signal }: EmbedOptions = {},
): Promise<Float32Array> {
  if (!instructions) {
    throw new HintError(
      'NOT_SUPPORTED',
      'This model has no hypernetwork that encodes instructions; embed the instruction as an input.',
    );
  }
  const { rows, offsets } = instructions;
  // A copy that is disposed once it is read; the rows themselves belong to the task.
  const wanted = model.device.tidy(() =>
    pooled ? ops.segmentMean(asFloat32(rows), offsets) : ops.cast(rows, 'f32'),
  );
  return abortable(
    wanted.read().finally(() => wanted.dispose()),
    signal,
  );
}
