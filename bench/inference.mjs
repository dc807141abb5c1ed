/* eslint-disable @typescript-eslint/explicit-module-boundary-types -- the types stand in JSDoc */
// Time per 100 examples: plain T5 and compiled HINT on this engine, plain T5 on Hugging Face transformers.
import { Device, Engine, generateTokens, parameterCount } from '../dist/index.js';
import { platformReport } from '../dist/tensor/device.js';
import { watchEventLoopLag } from '../dist/util/event-loop-lag.js';
import { encoderMeasurement, roofMeasurement } from './encoder.mjs';
import { peerConfig, startPeer } from './peer.mjs';
import { benchConfig, plainModel, randomModel, randomTokens, uniforms } from './random.mjs';
import { alternate, secondsOf } from './statistics.mjs';

// Token counts of Super-NaturalInstructions: an input; definition and input; the same with two examples.
const LENGTHS = { input: 44, definition: 133, fewShot: 199 };
// What HINT's hypernetwork reads instead, once a task: the instruction without the input.
const INSTRUCTIONS = { definition: 69, fewShot: 197 };
const OUTPUT = 6;
const BATCH = 25;
// Limits far above the batch, so that a batch is what is given.
const GENERATE = { maxTokens: OUTPUT, batchSize: BATCH, tokenBudget: 1 << 20 };

/**
 * One sample of a generation is a batch of 25 inputs with exactly 6 new tokens each; all measurements take turns.
 *
 * @param {{ size: 'small' | 'base', adapterSize: number, rounds: number, profile: boolean,
 *   note: (text: string) => void, onProgress?: (done: number, total: number) => void }} options
 */
export async function benchInference({ size, adapterSize, rounds, profile, note, onProgress }) {
  const { peer, skipped } = startPeer();
  if (skipped) note(`Hugging Face is left out: ${skipped}.`);
  const device = new Device();
  try {
    const uniform = uniforms(2);
    const hint = randomModel(device, benchConfig(size, adapterSize));
    const plain = plainModel(hint);
    const { config } = plain;
    const threads = platformReport().cores;
    const peerVersions = peer
      ? await peer.ask({ do: 'load', config: peerConfig(config), threads, seed: 1 })
      : { skipped };

    const lags = [];
    const encoders = {
      t5: encoderMeasurement(plain, uniform, BATCH, LENGTHS.definition),
      hint: encoderMeasurement(
        hint,
        uniform,
        BATCH,
        LENGTHS.input,
        randomTokens(uniform, INSTRUCTIONS.definition),
      ),
    };
    const measurements = {
      ...plainMeasurements(plain, peer, uniform, lags),
      ...(await hintMeasurements(hint, uniform, lags)),
      ...encoderMeasurements(device, encoders),
    };
    device.resetPeakMemory();
    const samples = await alternate(measurements, rounds, onProgress);
    return {
      size,
      adapterSize,
      parameters: { t5: parameterCount(config), hint: parameterCount(hint.config) },
      batch: BATCH,
      outputTokens: OUTPUT,
      peer: peerVersions,
      samples,
      eventLoopLag: lags,
      memory: device.statistics(),
      encoderFlops: { t5: await encoders.t5.flops(), hint: await encoders.hint.flops() },
      ...(profile && { profile: { t5: await encoders.t5.profile(), hint: await encoders.hint.profile() } }),
    };
  } finally {
    peer?.close();
    device.close();
  }
}

function plainMeasurements(model, peer, uniform, lags) {
  const measurements = {};
  for (const length of Object.values(LENGTHS)) {
    const inputs = batchOf(uniform, length);
    measurements[`engine t5 ${length}`] = () =>
      watchedSeconds(lags, () => generateTokens(model, { inputs, ...GENERATE }));
    if (peer) {
      const rows = inputs.map((input) => [...input]);
      measurements[`hf t5 ${length}`] = async () => {
        const { seconds, tokens } = await peer.ask({ do: 'generate', inputs: rows, tokens: OUTPUT });
        checkTokens([tokens]);
        return seconds;
      };
    }
  }
  return measurements;
}

async function hintMeasurements(model, uniform, lags) {
  const engine = new Engine(model);
  const measurements = {};
  for (const length of Object.values(INSTRUCTIONS)) {
    const instruction = randomTokens(uniform, length);
    const inputs = batchOf(uniform, LENGTHS.input);
    const task = await engine.compileTokens(instruction);
    measurements[`engine compile ${length}`] = () =>
      secondsOf(async () => (await engine.compileTokens(instruction)).dispose());
    measurements[`engine hint ${length}`] = () => watchedSeconds(lags, () => task.generate(inputs, GENERATE));
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

/** Seconds of one generation; the event loop's lag meanwhile goes to `lags`. */
async function watchedSeconds(lags, generate) {
  const stop = watchEventLoopLag();
  let generated = [];
  const seconds = await secondsOf(async () => {
    generated = await generate();
  });
  lags.push(stop());
  checkTokens(generated.map(({ tokens }) => tokens.length));
  return seconds;
}

function checkTokens(counts) {
  const wrong = counts.find((count) => count !== OUTPUT);
  if (wrong !== undefined)
    throw new Error(`A row has ${wrong} new tokens, not ${OUTPUT}: not the same work.`);
}

function batchOf(uniform, length) {
  return Array.from({ length: BATCH }, () => randomTokens(uniform, length));
}
