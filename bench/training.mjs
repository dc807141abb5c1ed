/* eslint-disable @typescript-eslint/explicit-module-boundary-types -- the types stand in JSDoc */
// Useful tokens per second of whole training steps, plain T5, here and on Hugging Face transformers.
import { buildBatch, Device, Gradients } from '../dist/index.js';
import { DropoutPlan } from '../dist/model/dropout.js';
import { platformReport } from '../dist/tensor/device.js';
import { watchEventLoopLag } from '../dist/util/event-loop-lag.js';
import { accumulateGradients } from '../dist/training/microbatch.js';
import { ADAFACTOR, Optimizer } from '../dist/training/optimizer.js';
import { loadHuggingFace } from '../dist/benchmark/peers.js';
import { benchConfig, normal, randomModel, randomTokens, uniforms } from '../dist/benchmark/random-model.js';
import { secondsOf } from '../dist/benchmark/turns.js';
import { startPeer } from './start-peer.mjs';

// Lengths as in Super-NaturalInstructions: log-normal, cut where the systems cut. With this spread the longest of a
// batch is about three times the mean.
const LENGTHS = { inputMedian: 133, inputMost: 1024, targetMedian: 6, targetMost: 128, sigma: 0.8 };

/**
 * One sample is a forward pass, a backward pass and an Adafactor update of every parameter on one batch; the two
 * systems get the same batches in turns.
 *
 * @param {{ size: 'small' | 'base', rounds: number, note: (text: string) => void,
 *   onProgress?: (done: number, total: number) => void }} options `rounds`: batches measured
 */
export async function benchTraining({ size, rounds, note, onProgress }) {
  const { peer, skipped } = await startPeer(note);
  // The peer's scores of a base-size batch of 16 would take more memory than many machines have.
  const batchSize = size === 'base' ? 8 : 16;
  const device = new Device();
  try {
    const model = await randomModel(device, benchConfig(size));
    const threads = platformReport().cores;
    const peerVersions = peer ? await loadHuggingFace(peer, model.config, { threads }) : { skipped };
    const step = engineStep(model);
    const uniform = uniforms(3);
    const steps = [];
    // The first batch warms up.
    for (let round = -1; round < rounds; round++) {
      const examples = Array.from({ length: batchSize }, () => randomExample(uniform));
      const endWatch = watchEventLoopLag();
      const engineSeconds = await step(buildBatch(examples), round + 1);
      const eventLoopLag = endWatch();
      const sample = {
        eventLoopLag,
        usefulTokens: examples.reduce((sum, { input, target }) => sum + input.length + target.length, 0),
        engineSeconds,
        ...(peer && (await peerStep(peer, examples))),
      };
      if (round >= 0) steps.push(sample);
      onProgress?.(round + 2, rounds + 1);
    }
    return { size, batchSize, lengths: LENGTHS, peer: peerVersions, steps, memory: device.statistics() };
  } finally {
    peer?.close();
    device.close();
  }
}

function engineStep(model) {
  const { device } = model;
  const optimizer = new Optimizer(device, ADAFACTOR, [
    {
      name: 'all',
      parameters: new Map(model.parameters.entries()),
      stepOffset: 0,
      multiplyByParameterScale: true,
    },
  ]);
  const parameters = optimizer.parameters();
  const gradients = new Gradients(device);
  return (batch, update) =>
    secondsOf(async () => {
      const dropout = new DropoutPlan(model.config.dropoutRate, update);
      const { sums } = await accumulateGradients(model, batch, gradients, {
        parameters,
        zLoss: 1e-4,
        dropout,
      });
      await optimizer.apply(gradients, { update, step: update, learningRate: 1e-3 });
      gradients.reset();
      const { crossEntropy } = await sums;
      await device.synchronize();
      if (!Number.isFinite(crossEntropy)) throw new Error(`The loss of batch ${update} is ${crossEntropy}.`);
    });
}

async function peerStep(peer, examples) {
  const { seconds, paddedTokens } = await peer.ask({
    do: 'train',
    inputs: examples.map(({ input }) => [...input]),
    targets: examples.map(({ target }) => [...target]),
  });
  return { hfSeconds: seconds, hfPaddedTokens: paddedTokens };
}

function randomExample(uniform) {
  const length = (middle, most) => {
    const drawn = Math.round(middle * Math.exp(LENGTHS.sigma * normal(uniform)));
    return Math.min(most, Math.max(1, drawn));
  };
  return {
    id: 'random',
    task: 'random',
    instruction: new Int32Array(0),
    input: randomTokens(uniform, length(LENGTHS.inputMedian, LENGTHS.inputMost)),
    target: randomTokens(uniform, length(LENGTHS.targetMedian, LENGTHS.targetMost)),
    references: [],
  };
}
