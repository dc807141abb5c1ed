import { join, resolve } from 'node:path';
import { z } from 'zod';
import { loadModel } from '../../../model/checkpoint/checkpoint.js';
import { openSafetensors, toFloat32, type SafetensorsFile } from '../../../formats/safetensors/file.js';
import { listOf } from '../../../util/check.js';
import { ADAFACTOR, adafactorDecay, Optimizer } from '../../../training/step/optimizer.js';
import { trainOnBatch } from '../../../training/step/train-on-batch.js';
import type { Device } from '../../../tensor/device.js';
import * as ops from '../../../tensor/ops.js';
import type { Tensor } from '../../../tensor/tensor.js';
import { relativeDifference } from '../../../testing/difference.js';
import type { Comparison } from './difference.js';
import { readFixtureInputs, readFixtureJson, validate } from './fixture-inputs.js';
import { batchOf } from './model-case.js';
import { recordOf } from '../../../util/record-schema.js';

// Most steps of a case; fixtures have ten.
const MOST_UPDATES = 1000;
const updates = () => z.int().min(1).max(MOST_UPDATES);

const adafactorSchema = z.object({
  shared: z.object({
    decay_rate: z.number(),
    clipping_threshold: z.number(),
    min_dim_size_to_factor: z.int(),
    epsilon1: z.number(),
    epsilon2: z.number(),
  }),
  gradient_scales: z.array(z.number()).max(MOST_UPDATES),
  updates: z.array(updates()).min(1).max(MOST_UPDATES),
  variants: recordOf(
    z.object({
      learning_rate: z.number(),
      multiply_by_parameter_scale: z.boolean(),
      step_offset: z.int(),
      first_step: z.int(),
      state: z.literal('given').optional(),
    }),
  ),
});

const trainingSchema = z.object({
  checkpoint: z.string(),
  learning_rate: z.number(),
  updates: updates(),
  z_loss: z.number(),
  adafactor: z.object({
    multiply_by_parameter_scale: z.boolean(),
    decay_rate: z.number(),
    step_offset: z.int(),
    clipping_threshold: z.number(),
    first_step: z.int(),
  }),
});

const losses = z.object({
  before_update: listOf(z.object({ ce_mean: z.number(), total_mean: z.number() })),
});

/** Parameters after some updates of Adafactor, for each variant of its settings. */
export async function verifyAdafactorCase(
  device: Device,
  directory: string,
  bound: number,
): Promise<Comparison[]> {
  const spec = validate(
    adafactorSchema,
    await readFixtureJson(directory, 'inputs.json'),
    join(directory, 'inputs.json'),
  );
  await using data = await openSafetensors(join(directory, 'inputs.safetensors'));
  await using expected = await openSafetensors(join(directory, 'expected.safetensors'));
  const names = [...data.tensors.keys()]
    .filter((key) => key.startsWith('parameter.'))
    .map((key) => key.slice('parameter.'.length));
  const load = async (file: SafetensorsFile, key: string): Promise<Tensor> => {
    const info = file.tensors.get(key);
    return device.tensor(toFloat32(await file.read(key), info?.dtype ?? 'F32'), info?.shape ?? []);
  };
  const comparisons: Comparison[] = [];
  for (const [variantName, variant] of Object.entries(spec.variants)) {
    for (const name of names) {
      const parameter = await load(data, `parameter.${name}`);
      const { shape } = parameter;
      const given = async (moment: string, size: readonly number[]): Promise<Tensor> =>
        variant.state === 'given' ? load(data, `state.${name}.${moment}`) : device.full(size, 0);
      const isFactored = shape.length === 2 && Math.min(...shape) >= spec.shared.min_dim_size_to_factor;
      const moments = isFactored
        ? {
            row: await given('row', [shape[0] as number]),
            column: await given('column', [shape[1] as number]),
          }
        : { full: await given('full', shape) };
      for (let t = 0; t < Math.max(...spec.updates); t++) {
        const gradient = await load(data, `gradient.${t % 3}.${name}`);
        const scaled = ops.scale(gradient, spec.gradient_scales[t] as number);
        ops.adafactor(parameter, scaled, moments, {
          learningRate: variant.learning_rate,
          decay: adafactorDecay(variant.first_step + t, variant.step_offset, spec.shared.decay_rate),
          clippingThreshold: spec.shared.clipping_threshold,
          epsilon1: spec.shared.epsilon1,
          epsilon2: spec.shared.epsilon2,
          multiplyByParameterScale: variant.multiply_by_parameter_scale,
        });
        if (spec.updates.includes(t + 1)) {
          const key = `${variantName}.${t + 1}.${name}`;
          const wanted = toFloat32(await expected.read(key), expected.tensors.get(key)?.dtype ?? 'F32');
          comparisons.push({
            name: key,
            difference: relativeDifference(await parameter.read(), wanted),
            bound,
          });
        }
        gradient.dispose();
        scaled.dispose();
      }
    }
  }
  return comparisons;
}

/** The loss before each of some Adafactor updates on one batch, and after the last. */
export async function verifyTrainingCase(
  device: Device,
  directory: string,
  bound: number,
  signal: AbortSignal | undefined,
): Promise<Comparison[]> {
  const spec = validate(
    trainingSchema,
    await readFixtureJson(directory, 'inputs.json'),
    join(directory, 'inputs.json'),
  );
  const expected = validate(
    losses,
    await readFixtureJson(directory, 'expected.json'),
    join(directory, 'expected.json'),
  );
  const checkpoint = resolve(directory, spec.checkpoint);
  const model = await loadModel(device, checkpoint, { dropoutRate: 0, signal });
  try {
    const batch = batchOf(await readFixtureInputs(checkpoint));
    const optimizer = new Optimizer(
      device,
      {
        ...ADAFACTOR,
        decayRate: spec.adafactor.decay_rate,
        clippingThreshold: spec.adafactor.clipping_threshold,
      },
      [
        {
          name: 'all',
          stepOffset: spec.adafactor.step_offset,
          multiplyByParameterScale: spec.adafactor.multiply_by_parameter_scale,
          parameters: new Map(model.parameters.entries()),
        },
      ],
    );
    const have = await trainOnBatch(model, batch, optimizer, {
      updates: spec.updates,
      learningRate: spec.learning_rate,
      zLoss: spec.z_loss,
      firstStep: spec.adafactor.first_step,
    });
    return expected.before_update.flatMap((wanted, i) => [
      { name: `ce_mean.${i}`, difference: relative(have[i]?.crossEntropyMean, wanted.ce_mean), bound },
      { name: `total_mean.${i}`, difference: relative(have[i]?.totalMean, wanted.total_mean), bound },
    ]);
  } finally {
    model.dispose();
  }
}

function relative(actual: number | undefined, expected: number): number {
  return actual === undefined || Number.isNaN(actual)
    ? Infinity
    : Math.abs(actual - expected) / Math.abs(expected);
}
