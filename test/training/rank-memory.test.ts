import { describe, expect, it } from 'vitest';
import { trainingMemory } from '../../src/accounting/training-memory.js';
import type { Group } from '../../src/distributed/group.js';
import { buildModel } from '../../src/model/hint/build-model.js';
import { initialiseParameters } from '../../src/model/parameters/initialise.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import { ADAFACTOR, Optimizer, type OptimizerSettings } from '../../src/training/step/optimizer.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';
import { TINY } from './tiny.js';

const ADAMW = { name: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 } as const;
const BATCH = { tasks: 1, instruction: 8, input: 8, target: 4, repeatedInstruction: 8 };

/** Bytes that a rank holds of the model, its gradients and its moments. */
async function heldBy(rank: number, size: number, settings: OptimizerSettings): Promise<number> {
  using device = new Device({ threads: 1 });
  const model = buildModel(device, TINY, initialiseParameters(device, TINY, 1));
  const groups = assignGroups(model.parameters.entries(), findSystem('hint').groups, {
    firstStep: 0,
    multiplyByParameterScale: true,
  });
  // What an optimizer asks of its ranks before the first step.
  const ranks = size === 1 ? undefined : ({ rank, size } as Group);
  const optimizer = new Optimizer(device, settings, groups, ranks);
  const gradients = new Gradients(device);
  for (const { id, shape } of optimizer.parameters()) {
    const { gradient } = gradients.target(id, shape);
    device.apply('fill', [gradient], { value: 0 });
  }
  await device.synchronize();
  return device.statistics().bytesInUse;
}

describe('the memory of ranks', () => {
  it.each([
    ['adamw', ADAMW, 1],
    ['adamw', ADAMW, 3],
    ['adafactor', ADAFACTOR, 2],
  ] as const)('is what the one that has most allocates: %s, %#', async (optimizer, settings, size) => {
    const { state } = trainingMemory(TINY, {
      weights: 'f32',
      compute: 'f32',
      isTrained: () => true,
      batch: BATCH,
      budget: 1e9,
      optimizer,
      ranks: size,
    });
    const held = await Promise.all(Array.from({ length: size }, (_, rank) => heldBy(rank, size, settings)));
    expect(state.total / Math.max(...held)).toBeGreaterThan(0.98);
    expect(state.total / Math.max(...held)).toBeLessThan(1.02);
  });
});
