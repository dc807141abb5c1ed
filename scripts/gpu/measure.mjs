// Makes one measurement on the GPU and writes it as JSON.
//   node scripts/gpu/measure.mjs hint SIZE BATCH ROUNDS FILE [DTYPE OF PARAMETERS [WHAT RUNS AGAIN]]   a HINT step, bf16
//   node scripts/gpu/measure.mjs torch SIZE BATCHES ROUNDS FILE [compile]     PyTorch's plain T5 step, with the first of
//                                                    the batches, such as 64,32,16, that fits at a time
//   node scripts/gpu/measure.mjs latency SIZE EXAMPLES ROUNDS FOLDER          Figure 4, 0, 2 and 5 shots, bf16
// HINT_PEER_DEVICE: where PyTorch computes, cuda without it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { loadPeer, startHuggingFace } from '../../dist/benchmark/peers.js';
import { benchConfig, uniforms } from '../../dist/benchmark/random-model.js';
import { drawBatch } from '../../dist/benchmark/training-examples.js';
import { measureTraining } from '../../dist/benchmark/training.js';
import { trainingMarkdown } from '../../dist/benchmark/training-report.js';
import { reportLatency } from '../../dist/cli/support/latency-files.js';

const [what, size, count, roundsText, output, ...more] = process.argv.slice(2);
const rounds = Number(roundsText);
const toy = size === 'tiny';
const peerDevice = process.env.HINT_PEER_DEVICE ?? 'cuda';
// The paper's adapter size; the toy size has a smaller one.
const adapterSize = toy ? 8 : 512;

function write(result) {
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, `${JSON.stringify(result)}\n`);
}

async function hint() {
  const batchSize = Number(count);
  const [paramDtype = 'f32', backward = 'none'] = more;
  const part = await measureTraining({
    config: benchConfig(size, adapterSize),
    systems: ['hint'],
    batchSize,
    tasks: Math.max(1, batchSize >> 1),
    tokenBudget: 16_384,
    computeDtype: 'bf16',
    paramDtype,
    backward,
    rounds,
    ...(toy && { roofSide: 64 }),
    device: 'cuda',
    note: console.log,
  });
  write(part);
  console.log(trainingMarkdown(part));
}

async function torch() {
  const compile = more[0] === 'compile';
  const config = benchConfig(size);
  const batches = count.split(',').map(Number);
  const failures = {};
  for (const batch of batches) {
    // A process for each batch, so that one that ran out of memory does not affect the next.
    const peer = await startHuggingFace('system');
    try {
      const description = await loadPeer(peer, config, {
        threads: availableParallelism(),
        device: peerDevice,
      });
      const uniform = uniforms(3);
      const shape = {
        batchSize: batches[0],
        tasks: Math.max(1, batches[0] >> 1),
        vocabSize: config.vocabSize,
      };
      const steps = [];
      for (let round = 0; round <= rounds; round++) {
        const { plain } = drawBatch(uniform, shape);
        const answer = await peer.ask({
          do: 'train',
          autocast: 'bf16',
          compile,
          batch,
          inputs: plain.map(({ input }) => [...input]),
          targets: plain.map(({ target }) => [...target]),
        });
        // The first warms up.
        if (round > 0) steps.push(answer);
        console.log(
          `batch ${batch}, ${compile ? 'compiled' : 'not compiled'}: ${answer.seconds.toFixed(3)} s a step`,
        );
      }
      write({ size, batch, examples: batches[0], compile, description, steps, failures });
      return;
    } catch (error) {
      failures[batch] = error.message;
      console.log(`batch ${batch}: ${error.message}`);
    } finally {
      peer.close();
    }
  }
  write({ size, compile, failures });
  process.exitCode = 1;
}

async function latency() {
  const options = { size, adapterSize, shots: [0, 2, 5], examples: Number(count), rounds, dtypes: ['bf16'] };
  const systems = ['hint', 't5', 'hf'];
  const files = { log: false, output, json: false };
  await reportLatency(
    'latency',
    { ...options, ...files, systems, device: 'cuda', peerDevice },
    new AbortController().signal,
  );
}

await { hint, torch, latency }[what]();
