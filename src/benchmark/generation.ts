import { HintError } from '../util/errors.js';
import type { Engine } from '../inference/engine.js';
import { generateTokens, type GenerateTokensOptions } from '../inference/decode/generate.js';
import type { Task } from '../inference/task/task.js';
import type { EncoderDecoderModel } from '../model/hint/encoder-decoder-model.js';
import type { Device } from '../tensor/device.js';
import { watchEventLoopLag, type EventLoopLag } from '../util/event-loop-lag.js';
import { OUTPUT_TOKENS } from './lengths.js';
import { secondsOf } from './turns.js';

/** The observations of one sample. */
export interface Observation {
  readonly seconds: number;
  readonly eventLoopLag: EventLoopLag;
  /** Peak tensor memory above that before the sample, bytes. */
  readonly workingBytes: number;
}

/** A sample of a model that reads its instruction once: the task is compiled, used and disposed. */
export interface CompiledObservation extends Observation {
  /** The share of {@link seconds} that compiling took. */
  readonly compileSeconds: number;
}

/** Generates for all inputs in one call; the engine chooses its batches. */
export async function observePlain(
  model: EncoderDecoderModel,
  inputs: readonly Int32Array[],
  options: GenerateTokensOptions = {},
): Promise<Observation> {
  return observed(model.device, async () => {
    checkWork(await generateTokens(model, { inputs, maxTokens: OUTPUT_TOKENS, ...options }));
  });
}

/** Generates for all inputs of a compiled task in one call. */
export async function observeTask(
  task: Task,
  device: Device,
  inputs: readonly Int32Array[],
  options: GenerateTokensOptions = {},
): Promise<Observation> {
  return observed(device, async () => {
    checkWork(await task.generate(inputs, { maxTokens: OUTPUT_TOKENS, ...options }));
  });
}

/** Compiles an instruction, as the model's family does, and generates for all inputs in one call. */
export async function observeCompiled(
  engine: Engine,
  instruction: Int32Array,
  inputs: readonly Int32Array[],
  options: GenerateTokensOptions = {},
): Promise<CompiledObservation> {
  let compileSeconds = 0;
  const { signal } = options;
  const observation = await observed(engine.model.device, async () => {
    const began = performance.now();
    using task = await engine.compileTokens(instruction, { signal });
    compileSeconds = (performance.now() - began) / 1000;
    checkWork(await task.generate(inputs, { maxTokens: OUTPUT_TOKENS, ...options }));
  });
  return { ...observation, compileSeconds };
}

async function observed(device: Device, work: () => Promise<void>): Promise<Observation> {
  await device.synchronize();
  device.resetPeakMemory();
  const { bytesInUse } = device.statistics();
  const endWatch = watchEventLoopLag();
  try {
    const seconds = await secondsOf(work);
    const workingBytes = Math.max(0, device.statistics().peakBytesInUse - bytesInUse);
    return { seconds, eventLoopLag: endWatch(), workingBytes };
  } catch (error) {
    endWatch();
    throw error;
  }
}

/** @throws HintError INTERNAL when the number of generated tokens is not the one that is timed */
export function checkWork(generated: readonly { readonly tokens: Int32Array }[]): void {
  const wrong = generated.find(({ tokens }) => tokens.length !== OUTPUT_TOKENS);
  if (!wrong) return;
  throw new HintError(
    'INTERNAL',
    `A row has ${wrong.tokens.length} new tokens, not ${OUTPUT_TOKENS}: that is not the same work.`,
  );
}
