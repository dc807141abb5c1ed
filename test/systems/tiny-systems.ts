import type { TokenizedExample } from '../../src/data/batch.js';
import { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import type { System } from '../../src/systems/index.js';
import type { Device } from '../../src/tensor/device.js';
import {
  parseTrainingConfig,
  type TrainingConfig,
  type TrainingConfigInput,
} from '../../src/training/config/config.js';
import { PoolSource } from '../../src/training/sources/example-source.js';
import type { Optimizer } from '../../src/training/step/optimizer.js';
import { createModel, createOptimizer, trainerSettings } from '../../src/training/run/prepare.js';
import { Trainer, type StepReport } from '../../src/training/step/trainer.js';

/** A T5 of one layer, its attention wider than its model. */
export const TINY_T5 = { vocab_size: 96, d_model: 16, d_kv: 6, d_ff: 24, num_layers: 1, num_heads: 4 };

/** Sizes that suit {@link TINY_T5}, of those that a system can be given. */
export function tinyOptions({ hypernetwork }: System): NonNullable<TrainingConfigInput['model']>['hint'] {
  const { options = [], defaults } = hypernetwork ?? {};
  return {
    ...(options.includes('adapterSize') && defaults?.adapterSize ? { adapterSize: 3 } : {}),
    ...(options.includes('prefixLength') ? { prefixLength: 2 } : {}),
    ...(options.includes('loraRanks') && defaults?.loraRanks.q ? { loraRanks: 2 } : {}),
  };
}

/** The configuration of a run from nothing; `changes` go over it, those of the model into it. */
export function tinyConfig(system: System, changes: Partial<TrainingConfigInput> = {}): TrainingConfig {
  const { model, ...rest } = changes;
  return parseTrainingConfig({
    system: system.name,
    model: { init: { config: TINY_T5 }, hint: tinyOptions(system), ...model },
    data: { directory: 'unused' },
    output: 'unused',
    steps: 4,
    batchSize: 18,
    learningRate: 2e-2,
    dropout: 0,
    seed: 3,
    ...rest,
  });
}

/** Three tasks as a system is shown them: the target is the input moved by a number that the instruction names. */
export function tinyExamples(system: System): TokenizedExample[] {
  const { format } = system.setting(0);
  return Array.from({ length: 18 }, (_, i) => {
    const task = i % 3;
    const instruction = [80 + task, 90, 85 + task];
    const input = [20 + ((7 * i) % 30), ...(i % 2 ? [70, 71] : []), 1];
    return {
      id: `example-${i}`,
      task: `task-${task}`,
      instruction: Int32Array.from(format === 'hint' ? [...instruction, 1] : []),
      input: Int32Array.from(format === 'tk-instruct' ? [...instruction, ...input] : input),
      target: Int32Array.of((input[0] as number) + task + 1, 1),
      references: [],
    };
  });
}

/** Makes the parts of a run with the functions that a run uses. */
export async function tinyRun(
  device: Device,
  system: System,
  changes: Partial<TrainingConfigInput> = {},
): Promise<{ model: EncoderDecoderModel; optimizer: Optimizer; trainer: Trainer; config: TrainingConfig }> {
  const config = tinyConfig(system, changes);
  const model = (await createModel(device, config, system, {})) as EncoderDecoderModel;
  return { model, config, ...(await trainerOf(model, config, system)) };
}

export async function trainerOf(
  model: EncoderDecoderModel,
  config: TrainingConfig,
  system: System,
): Promise<{ optimizer: Optimizer; trainer: Trainer }> {
  const optimizer = await createOptimizer(model, config, system);
  const source = new PoolSource(tinyExamples(system), config.seed, 'tiny');
  return { optimizer, trainer: new Trainer({ model, source, optimizer }, trainerSettings(config)) };
}

export async function train(trainer: Trainer): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  for await (const report of trainer.steps()) reports.push(report);
  return reports;
}

export async function floatsOf(model: EncoderDecoderModel, name: string): Promise<Float32Array> {
  return new Float32Array(await model.parameters.get(name).readBytes());
}
