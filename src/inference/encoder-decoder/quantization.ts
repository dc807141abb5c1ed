import { concatenate, type Ragged, type RaggedBatch } from '../../data/batch.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import { plainModel } from '../../model/hint/plain-model.js';
import { T5 } from '../../model/t5/t5.js';
import { MeasuringWeights, type LayerError } from '../../model/weights/measuring-weights.js';
import { relativeDifference } from '../../util/relative-difference.js';
import { throwIfAborted } from '../../util/errors.js';

/** How far int8 moves a model on some inputs. */
export interface QuantizationReport {
  readonly inputs: number;
  readonly tokens: number;
  /** max |a − b| / max |b| of the first token's logits, of an engine of int8 against f32; up to 5e-2 is what int8 is held to. */
  readonly logits: number;
  /** The same in bf16, which has no steps to choose. */
  readonly logitsOfBf16: number;
  /** Share of inputs whose likeliest first token is the same in int8 as in f32, 0 to 1. */
  readonly sameToken: number;
  /** Every quantised product by itself, in the order of computing. */
  readonly layers: readonly LayerError[];
}

/**
 * Runs inputs through a T5, or through the T5 inside a HINT model, in f32, bf16 and int8.
 *
 * @param model whose weights are f32 or bf16; what its inference holds is made anew
 * @throws HintError INVALID_TOKEN, INVALID_DATA of an empty input, NUMERIC, OUT_OF_MEMORY, ABORTED
 */
export async function measureQuantization(
  model: EncoderDecoderModel,
  inputs: readonly Int32Array[],
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<QuantizationReport> {
  const plain = model.config.hint ? plainModel(model) : model;
  const ragged = concatenate(inputs);
  plain.releaseInference();
  const exact = await firstLogits(plain, ragged);
  const layers = await errorsOfLayers(plain, ragged);
  const differences: number[] = [];
  let int8: Float32Array = exact;
  for (const dtype of ['bf16', 'int8'] as const) {
    throwIfAborted(signal);
    plain.inferenceDType = dtype;
    await plain.prepareInference();
    int8 = await firstLogits(plain, ragged);
    differences.push(relativeDifference(int8, exact));
  }
  plain.releaseInference();
  const [logitsOfBf16 = 0, logits = 0] = differences;
  const same = inputs.filter((_, i) => likeliest(int8, i, plain) === likeliest(exact, i, plain)).length;
  const counts = { inputs: inputs.length, tokens: ragged.ids.length };
  return { ...counts, logits, logitsOfBf16, sameToken: same / inputs.length, layers };
}

/** Every input with a target of one token, which is not read. */
function batchOf(inputs: Ragged): RaggedBatch {
  const count = inputs.offsets.length - 1;
  return {
    examples: [],
    instructions: concatenate([]),
    inputs,
    targets: concatenate(Array.from({ length: count }, () => Int32Array.of(0))),
    taskIndex: new Int32Array(count),
  };
}

/** [inputs, vocabSize], of what follows the start token. */
async function firstLogits(model: EncoderDecoderModel, inputs: Ragged): Promise<Float32Array> {
  const work = function* () {
    const { hidden } = yield* model.forward(batchOf(inputs));
    return model.t5.logits(hidden);
  };
  const logits = await model.device.inSlices(model.device.tidied(work()));
  const values = await logits.read();
  logits.dispose();
  return values;
}

async function errorsOfLayers(model: EncoderDecoderModel, { ids, offsets }: Ragged): Promise<LayerError[]> {
  const { device, config, parameters, t5 } = model;
  const measuring = new MeasuringWeights(device, t5.weights, parameters);
  const measured = new T5(device, config, measuring);
  const work = function* () {
    const encoded = yield* measured.encode({ ids: device.tensor(ids, [ids.length]), offsets });
    const memory = { encoded, offsets, tasks: undefined, instruction: undefined };
    for (let layer = 0; layer < config.numDecoderLayers; layer++)
      measured.crossKeys(layer, memory, undefined);
    return undefined;
  };
  await device.inSlices(device.tidied(work()));
  return measuring.take();
}

function likeliest(logits: Float32Array, input: number, { config }: EncoderDecoderModel): number {
  const row = logits.subarray(input * config.vocabSize, (input + 1) * config.vocabSize);
  return row.indexOf(row.reduce((most, value) => Math.max(most, value), -Infinity));
}
