import type { ModelConfig } from '../../model/config/config.js';
import { Device } from '../../tensor/device.js';
import { throwIfAborted } from '../../util/errors.js';
import { median } from '../../util/statistics.js';
import { endless, randomModel } from '../random-model.js';
import { EngineSteps, type StepSettings } from '../training-steps.js';
import { examplesOf, type StepBatch } from './step-trace.js';

const STEPS = 3;

/**
 * Measures the step of an estimate on this machine's CPU, with random weights.
 *
 * @returns the median seconds of three steps after a first one
 * @throws HintError OUT_OF_MEMORY, ABORTED
 */
export async function measureStep(
  config: ModelConfig,
  batch: StepBatch,
  settings: StepSettings,
  { threads, signal }: { threads: number; signal: AbortSignal },
): Promise<number> {
  using device = new Device({ threads });
  const steps = await EngineSteps.create(await randomModel(device, endless(config), signal), settings);
  const examples = examplesOf(config, batch);
  await steps.step(examples);
  const seconds: number[] = [];
  for (let i = 0; i < STEPS; i++) {
    throwIfAborted(signal);
    seconds.push(await steps.step(examples));
  }
  return median(seconds);
}
