// Time per 100 examples: plain T5 and compiled HINT on this engine, plain T5 on Hugging Face transformers.
import { Engine, parameterCount } from '../dist/index.js';
import { Device } from '../dist/tensor/index.js';
import { observePlain, observeTask } from '../dist/benchmark/generation.js';
import { OUTPUT_TOKENS, sniLengths } from '../dist/benchmark/lengths.js';
import { settingOf } from '../dist/benchmark/peer-settings.js';
import { benchConfig, randomModel, randomTokens, uniforms } from '../dist/benchmark/random-model.js';
import { alternate, secondsOf } from '../dist/benchmark/turns.js';
import { plainModel } from '../dist/model/hint/plain-model.js';
import { platformReport } from '../dist/tensor/device.js';
import { encoderMeasurement, roofMeasurement } from './encoder.mjs';
import { startPeer } from './start-peer.mjs';

const EXAMPLES = 100;
const NONE = sniLengths(0);
const TWO = sniLengths(2);
// What plain T5 reads: an input; definition and input; the same with two examples.
const INPUTS = [NONE.input, NONE.full, TWO.full];
// What HINT's hypernetwork reads instead, once a task: the instruction without the input.
const INSTRUCTIONS = [NONE.instruction, TWO.instruction];
const ENCODER_ROWS = 25;

/**
 * One sample of a generation is one call with 100 inputs and exactly 6 new tokens each: the engine chooses its batches, HF
 * runs at the setting that it is fastest with at each length. All measurements take turns.
 *
 * @param {{ size: 'small' | 'base', adapterSize: number, rounds: number, profile: boolean,
 *   note: (text: string) => void, onProgress?: (done: number, total: number) => void }} options
 */
export async function benchInference({ size, adapterSize, rounds, profile, note, onProgress }) {
  const device = new Device();
  let peer;
  try {
    const uniform = uniforms(2);
    const hint = await randomModel(device, benchConfig(size, adapterSize));
    const plain = plainModel(hint);
    const { config } = plain;
    const started = await startPeer({ config, threads: platformReport().cores, device: 'cpu' }, note);
    peer = started.peer;
    const settings = {};

    const seen = [];
    const encoders = {
      t5: encoderMeasurement(plain, uniform, ENCODER_ROWS, NONE.full),
      hint: encoderMeasurement(
        hint,
        uniform,
        ENCODER_ROWS,
        NONE.input,
        randomTokens(uniform, NONE.instruction),
      ),
    };
    const measurements = {
      ...(await plainMeasurements(plain, peer, settings, uniform, seen)),
      ...(await hintMeasurements(hint, uniform, seen)),
      ...encoderMeasurements(device, encoders),
    };
    const encoderFlops = { t5: await encoders.t5.flops(), hint: await encoders.hint.flops() };
    const profiles = profile && { t5: await encoders.t5.profile(), hint: await encoders.hint.profile() };
    const samples = await alternate([{ measurements }], { rounds, warmUp: true, onProgress });
    return {
      size,
      adapterSize,
      parameters: { t5: parameterCount(config), hint: parameterCount(hint.config) },
      examples: EXAMPLES,
      encoderRows: ENCODER_ROWS,
      outputTokens: OUTPUT_TOKENS,
      settings,
      peer: peer ? peer.description : { skipped: started.skipped },
      samples,
      eventLoopLag: seen.map(({ eventLoopLag }) => eventLoopLag),
      memory: peakMemory(device, seen),
      encoderFlops,
      ...(profiles && { profile: profiles }),
    };
  } finally {
    peer?.close();
    device.close();
  }
}

async function plainMeasurements(model, peer, settings, uniform, seen) {
  const measurements = {};
  for (const length of INPUTS) {
    const inputs = batchOf(uniform, length);
    measurements[`engine t5 ${length} × ${EXAMPLES}`] = async () => {
      const observation = await observePlain(model, inputs);
      seen.push(observation);
      return observation.seconds;
    };
    if (!peer) continue;
    const setting = await peer.best(inputs, OUTPUT_TOKENS, 'f32');
    settings[length] = settingOf(setting);
    measurements[`hf t5 ${length} × ${EXAMPLES}`] = async () =>
      (await peer.generate(inputs, OUTPUT_TOKENS, 'f32', setting)).seconds;
  }
  return measurements;
}

async function hintMeasurements(model, uniform, seen) {
  const engine = new Engine(model);
  const measurements = {};
  for (const length of INSTRUCTIONS) {
    const instruction = randomTokens(uniform, length);
    const inputs = batchOf(uniform, NONE.input);
    const task = await engine.compileTokens(instruction);
    measurements[`engine compile ${length}`] = () =>
      secondsOf(async () => (await engine.compileTokens(instruction)).dispose());
    measurements[`engine hint ${length} × ${EXAMPLES}`] = async () => {
      const observation = await observeTask(task, model.device, inputs);
      seen.push(observation);
      return observation.seconds;
    };
  }
  return measurements;
}

function encoderMeasurements(device, encoders) {
  const roof = roofMeasurement(device);
  return Object.fromEntries(
    Object.entries(encoders).flatMap(([name, { sample }]) => [
      [`roof beside encoder ${name}`, roof.sample],
      [`encoder ${name}`, sample],
    ]),
  );
}

/** Tensor memory held at the end, and at its most while generating. */
function peakMemory(device, seen) {
  const statistics = device.statistics();
  const working = Math.max(...seen.map(({ workingBytes }) => workingBytes));
  return { ...statistics, peakBytesInUse: statistics.bytesInUse + working };
}

function batchOf(uniform, length) {
  return Array.from({ length: EXAMPLES }, () => randomTokens(uniform, length));
}
