import { join } from 'node:path';
import { buildBatch, type RaggedBatch, type TokenizedExample } from '../../../data/batch.js';
import { HintError, throwIfAborted } from '../../../util/errors.js';
import { loadModel } from '../../../model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../../model/hint/encoder-decoder-model.js';
import { asFloat32 } from '../../../model/parameters/dtypes.js';
import { sizeOf } from '../../../model/modules/adaptations.js';
import { openSafetensors, toFloat32, type SafetensorsFile } from '../../../formats/safetensors/file.js';
import type { TaskModules } from '../../../model/modules/task-modules.js';
import type { Device } from '../../../tensor/device.js';
import * as ops from '../../../tensor/ops.js';
import type { WeightDType } from '../../../tensor/ops.js';
import { Gradients, Tape } from '../../../tensor/tape.js';
import type { Tensor } from '../../../tensor/tensor.js';
import { relativeDifference } from '../../../testing/difference.js';
import type { Comparison } from './difference.js';
import type { FixtureInputs } from './fixture-inputs.js';
import { boundsOfRounding } from './rounding-bounds.js';

type Compare = (name: string, actual: Float32Array) => Promise<void>;

/** How exact a model must be: largest relative difference of forward values, and of gradients. */
export interface Exactness {
  dtype: WeightDType;
  bound: number;
  gradientBound: number;
}

/**
 * Compares every tensor of a model fixture: forward values, losses and the gradient of every parameter as training
 * computes them, in f32 or bf16; and forward values through the packed weights of inference. In bf16 a tensor's bound is
 * what rounding alone does to it, at most that of the exactness ({@link boundsOfRounding}).
 */
export async function verifyModelCase(
  device: Device,
  directory: string,
  inputs: FixtureInputs,
  { dtype, bound, gradientBound }: Exactness,
  signal: AbortSignal | undefined,
): Promise<Comparison[]> {
  await using file = await openSafetensors(join(directory, 'expected.safetensors'));
  const batch = batchOf(inputs);
  const differing =
    (note: (name: string, difference: number) => void): Compare =>
    async (name, actual) => {
      const info = file.tensors.get(name);
      if (!info) throw new HintError('INVALID_DATA', `${file.path} has no tensor ${name}.`);
      note(name, relativeDifference(actual, toFloat32(await file.read(name, signal), info.dtype)));
    };
  const train = async (model: EncoderDecoderModel, compare: Compare): Promise<void> => {
    await compareForward(model, batch, inputs, file, compare);
    await compareGradients(model, batch, inputs, file, 'grad', compare);
    if ([...file.tensors.keys()].some((name) => name.startsWith('grad_z.')))
      await compareGradients(model, batch, inputs, file, 'grad_z', compare);
  };
  const isGradient = (name: string): boolean => /^grad(_z)?\./.test(name);
  const mostOf = (name: string): number => (isGradient(name) ? gradientBound : bound);
  const rounding =
    dtype === 'bf16'
      ? await boundsOfRounding(mostOf, async (own, note) => {
          throwIfAborted(signal);
          const simulated = await loadModel(own, directory, { dropoutRate: 0, signal });
          try {
            simulated.parameters.computeDtype = dtype;
            await train(simulated, differing(note));
          } finally {
            simulated.dispose();
          }
        })
      : undefined;
  const comparisons: Comparison[] = [];
  const compared = new Set<string>();
  const comparing = (how: string): Compare =>
    differing((name, difference) => {
      compared.add(name);
      const simulated = rounding?.get(name);
      comparisons.push({
        name: `${name}${how}`,
        difference,
        bound: simulated?.bound ?? mostOf(name),
        ...(simulated && { byRounding: simulated.typical }),
      });
    });
  const model = await loadModel(device, directory, { dropoutRate: 0, signal });
  try {
    if (dtype !== 'int8') {
      model.parameters.computeDtype = dtype;
      await train(model, comparing(''));
    }
    model.inferenceDType = dtype;
    await model.prepareInference();
    await compareForward(model, batch, inputs, file, comparing(' (inference)'));
  } finally {
    model.dispose();
  }
  const forgotten = [...file.tensors.keys()].filter(
    (name) => !compared.has(name) && (dtype !== 'int8' || !isGradient(name)),
  );
  for (const name of forgotten)
    comparisons.push({ name: `${name} (not computed)`, difference: Infinity, bound });
  return comparisons;
}

/** The fixture's examples as one batch; ids are their positions, because batches are reordered by task. */
export function batchOf(inputs: FixtureInputs): RaggedBatch {
  const examples = inputs.examples.map((example, i): TokenizedExample => ({
    id: String(i),
    task: String(i),
    instruction: Int32Array.from(example.instruction),
    input: Int32Array.from(example.input),
    target: Int32Array.from(example.target ?? []),
    references: [],
  }));
  return buildBatch(examples);
}

async function compareForward(
  model: EncoderDecoderModel,
  batch: RaggedBatch,
  inputs: FixtureInputs,
  file: SafetensorsFile,
  compare: Compare,
): Promise<void> {
  const { device } = model;
  const instructionLength = inputs.instruction_length;
  const { tasks, memory, hidden } = await device.inSlices(model.forward(batch, { instructionLength }));
  const logits = model.t5.logits(hidden);
  const targets = device.tensor(batch.targets.ids, [batch.targets.ids.length]);
  const terms = model.t5.losses(hidden, targets, inputs.z_loss);
  const rows = async (tensor: Tensor): Promise<Float32Array> => asFloat32(tensor).read();
  const [logitRows, encoded, ce, z] = await Promise.all(
    [logits, memory.encoded, terms.loss, terms.zTerm].map(rows),
  );
  const instruction = tasks.instructions ? await rows(tasks.instructions.rows) : undefined;
  const { vocabSize, dModel } = model.config;
  const perExample = {
    ce: new Float32Array(batch.examples.length),
    z: new Float32Array(batch.examples.length),
  };
  for (let row = 0; row < batch.examples.length; row++) {
    const i = Number(batch.examples[row]?.id);
    const slice = (
      values: Float32Array | undefined,
      offsets: Int32Array,
      at: number,
      width: number,
    ): Float32Array =>
      (values as Float32Array).subarray((offsets[at] as number) * width, (offsets[at + 1] as number) * width);
    await compare(`logits.${i}`, slice(logitRows, batch.targets.offsets, row, vocabSize));
    await compare(`encoder_output.${i}`, slice(encoded, batch.inputs.offsets, row, dModel));
    if (instruction && tasks.instructions && file.tensors.has(`instruction_embedding.${i}`)) {
      const task = batch.taskIndex[row] as number;
      await compare(
        `instruction_embedding.${i}`,
        slice(instruction, tasks.instructions.offsets, task, dModel),
      );
    }
    perExample.ce[i] = total(slice(ce, batch.targets.offsets, row, 1));
    perExample.z[i] = total(slice(z, batch.targets.offsets, row, 1));
  }
  await compareGenerated(tasks.modules, batch, file, compare);
  const tokens = batch.targets.ids.length;
  const ceSum = total(perExample.ce);
  const zSum = total(perExample.z);
  await compare('loss.ce_per_example', perExample.ce);
  await compare('loss.z_per_example', perExample.z);
  await compare('loss.ce_sum', Float32Array.of(ceSum));
  await compare('loss.z_sum', Float32Array.of(zSum));
  await compare('loss.tokens', Float32Array.of(tokens));
  await compare('loss.ce_mean', Float32Array.of(ceSum / tokens));
  await compare('loss.total_mean', Float32Array.of((ceSum + zSum) / tokens));
}

/** The fixtures hold every slot; those the engine does not generate are never read and not compared. */
async function compareGenerated(
  modules: TaskModules,
  batch: RaggedBatch,
  file: SafetensorsFile,
  compare: Compare,
): Promise<void> {
  for (const [name, { tensor, slots }] of modules) {
    const key = `generated.${name}`;
    const info = file.tensors.get(key);
    if (!info) continue;
    const expected = toFloat32(await file.read(key), info.dtype);
    const values = await asFloat32(tensor).read();
    const [examples = 0, allSlots = 0, ...shape] = info.shape;
    const size = sizeOf(shape);
    const own = sizeOf(tensor.shape.slice(2));
    if (examples !== batch.examples.length || size !== own || slots.some((slot) => slot >= allSlots))
      throw new HintError(
        'INVALID_DATA',
        `${file.path}: ${key} is of shape [${info.shape.join(', ')}], which fits neither ${batch.examples.length} examples nor the model's slots; see the fixture's README.`,
      );
    // Slots that are not generated take the expected values, so that only generated ones can differ.
    const actual = Float32Array.from(expected);
    batch.examples.forEach((example, row) => {
      const task = tensor.shape[0] === 1 ? 0 : (batch.taskIndex[row] as number);
      slots.forEach((slot, position) => {
        const from = (task * slots.length + position) * size;
        actual.set(values.subarray(from, from + size), (Number(example.id) * allSlots + slot) * size);
      });
    });
    await compare(key, actual);
  }
}

async function compareGradients(
  model: EncoderDecoderModel,
  batch: RaggedBatch,
  inputs: FixtureInputs,
  file: SafetensorsFile,
  prefix: 'grad' | 'grad_z',
  compare: Compare,
): Promise<void> {
  const { device } = model;
  const tape = new Tape(device, model.parameters.all());
  const gradients = new Gradients(device);
  const perToken = 1 / batch.targets.ids.length;
  const options = { zLoss: inputs.z_loss, instructionLength: inputs.instruction_length };
  device.tidy(() => {
    const roots = tape.run(() => {
      const { loss, zTerm } = device.now(model.loss(batch, options));
      const mean = ops.sum(loss, perToken);
      return prefix === 'grad' ? [mean] : [mean, ops.sum(zTerm, perToken)];
    });
    tape.backward(roots, gradients);
  });
  for (const [name, parameter] of model.parameters.entries()) {
    const key = `${prefix}.${name}`;
    if (!file.tensors.has(key)) continue;
    const gradient = gradients.get(parameter);
    await compare(key, gradient ? await gradient.read() : new Float32Array(parameter.size));
  }
  gradients.dispose();
}

function total(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
