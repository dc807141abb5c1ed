import type { TokenizedExample } from '../../data/batch.js';
import type { ModelConfig } from '../../model/config/config.js';
import { buildModel } from '../../model/hint/build-model.js';
import { ParameterStore } from '../../model/parameters/parameter-store.js';
import { parameterShapes } from '../../model/parameters/parameter-shapes.js';
import { TracingDevice, type TracedCalls } from '../../tensor/tracing-device.js';
import { throwIfAborted } from '../../util/errors.js';
import { randomTokens, uniforms } from '../random-model.js';
import { EngineSteps, type StepSettings } from '../training-steps.js';

/**
 * The host's time is the minimum over this many steps, because other processes may use the machine, and because JavaScript is
 * compiled to be fast only once it has run for some steps, of which training has a thousand.
 */
const HOST_TRIES = 10;

/** A training batch of examples of equal lengths. */
export interface StepBatch {
  readonly examples: number;
  /** Number of different instructions; their numbers of examples differ by at most one. */
  readonly tasks: number;
  /** Tokens of an instruction, an input and a target; an instruction of 0 tokens is none. */
  readonly instruction: number;
  readonly input: number;
  readonly output: number;
}

/** The calls and copies of a training step. */
export interface StepTrace {
  readonly calls: readonly TracedCalls[];
  /** Seconds that this machine takes to queue the step on a device that computes nothing, the least of some. */
  readonly hostSeconds: number;
  /**
   * CPU seconds of JavaScript's thread for it, the minimum of some steps; a busy machine changes them less than wall
   * time.
   */
  readonly hostCpuSeconds: number;
  /** Most tensor memory at a time, bytes. */
  readonly peakBytes: number;
}

/**
 * Traces one training step (forward and backward pass of every microbatch, update of every parameter) by running it on
 * a device that takes what CUDA takes and computes nothing.
 *
 * @throws HintError ABORTED, between two steps, and what the step throws: NOT_SUPPORTED, INVALID_ARGUMENT
 */
export async function traceStep(
  config: ModelConfig,
  batch: StepBatch,
  settings: StepSettings,
  signal?: AbortSignal,
): Promise<StepTrace> {
  const device = new TracingDevice();
  try {
    const parameters = [...parameterShapes(config)].map(
      ([name, shape]) => [name, device.keep(device.full(shape, 0))] as const,
    );
    const model = buildModel(device, config, new ParameterStore(new Map(parameters)));
    const steps = await EngineSteps.create(model, settings);
    const examples = examplesOf(config, batch);
    // The first step also makes what later steps reuse: moments, gradients, compiled functions.
    await steps.step(examples);
    throwIfAborted(signal);
    await device.takeTrace();
    let hostSeconds = await steps.step(examples);
    let hostCpuSeconds = steps.cpuSeconds;
    const calls = await device.takeTrace();
    for (let again = 1; again < HOST_TRIES; again++) {
      throwIfAborted(signal);
      hostSeconds = Math.min(hostSeconds, await steps.step(examples));
      hostCpuSeconds = Math.min(hostCpuSeconds, steps.cpuSeconds);
    }
    return { calls, hostSeconds, hostCpuSeconds, peakBytes: steps.observed.peakBytes };
  } finally {
    device.close();
  }
}

/** Random examples of a batch, the same each time. */
export function examplesOf(config: ModelConfig, batch: StepBatch): TokenizedExample[] {
  const uniform = uniforms(5);
  const tokens = (length: number): Int32Array => randomTokens(uniform, length, config.vocabSize);
  const instructions = Array.from({ length: batch.tasks }, () => tokens(batch.instruction));
  return Array.from({ length: batch.examples }, (_, example) => ({
    id: `${example}`,
    task: `${example % batch.tasks}`,
    instruction: instructions[example % batch.tasks] as Int32Array,
    input: tokens(batch.input),
    target: tokens(batch.output),
    references: [],
  }));
}
