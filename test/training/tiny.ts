import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TokenizedExample } from '../../src/data/batch.js';
import { parseModelConfig, type ModelConfig } from '../../src/model/config/config.js';
import { buildModel } from '../../src/model/hint/build-model.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { initialiseParameters } from '../../src/model/parameters/initialise.js';
import { findSystem } from '../../src/systems/index.js';
import type { Device } from '../../src/tensor/device.js';
import { PoolSource } from '../../src/training/sources/example-source.js';
import { ADAFACTOR, Optimizer } from '../../src/training/step/optimizer.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';
import { sha256Hex } from '../../src/util/hash.js';
import { Trainer } from '../../src/training/step/trainer.js';
import type { TrainerSettings } from '../../src/training/step/trainer-arguments.js';

export const FIXTURES = join(import.meta.dirname, '..', 'fixtures');

/** The model of the fixture original/hint: HINT with two layers of width 32. */
export const TINY: ModelConfig = parseModelConfig(
  JSON.parse(readFileSync(join(FIXTURES, 'original', 'hint', 'config.json'), 'utf8')),
);

/** Six tasks, each told by its instruction: the target is the input moved by a number of its own. */
export function tinyPool(size = 48): TokenizedExample[] {
  const instructions = Array.from({ length: 6 }, (_, task) => Int32Array.of(150 + task, 160, 170 + task, 1));
  return Array.from({ length: size }, (_, i) => {
    const task = i % instructions.length;
    const word = 20 + ((7 * i) % 50);
    return {
      id: `example-${i}`,
      task: `task-${task}`,
      instruction: instructions[task] as Int32Array,
      input: Int32Array.of(word, ...Array.from({ length: i % 4 }, (_, k) => 100 + k), 1),
      target: Int32Array.of(word + task + 1, 1),
      references: [],
    };
  });
}

export const SETTINGS: TrainerSettings = {
  batchSize: 12,
  tokenBudget: 10_000,
  schedule: { kind: 'constant', learningRate: 1e-2, warmupSteps: 0, steps: 4 },
  firstStep: 0,
  dropout: 0.1,
  generatorDropout: 0,
  zLoss: 1e-4,
  seed: 3,
  backward: 'none',
};

/** A fresh model and a trainer for it. */
export function tinyTrainer(
  device: Device,
  settings: Partial<TrainerSettings> = {},
  trained: (group: string) => boolean = () => true,
): { model: EncoderDecoderModel; optimizer: Optimizer; trainer: Trainer } {
  const model = buildModel(device, TINY, initialiseParameters(device, TINY, 1));
  const groups = assignGroups(
    model.parameters.entries(),
    findSystem('hint').groups.filter(({ name }) => trained(name)),
    { firstStep: 0, multiplyByParameterScale: true },
  );
  const optimizer = new Optimizer(device, ADAFACTOR, groups);
  const all = { ...SETTINGS, ...settings };
  const source = new PoolSource(tinyPool(), all.seed, 'tiny');
  const trainer = new Trainer({ model, source, optimizer }, all);
  return { model, optimizer, trainer };
}

/** The hash of every parameter: equal when the bits are. */
export async function valuesOf(model: EncoderDecoderModel): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for (const [name, tensor] of model.parameters.entries()) {
    values.set(name, sha256Hex(new Uint8Array(await tensor.readBytes())));
  }
  return values;
}
