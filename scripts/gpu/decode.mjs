// Compares greedy decoding on the GPU with that on the CPU, token by token: `generateTokens` records a step and replays
// it.
//   node scripts/gpu/decode.mjs      with graphs; HINT_CUDA_GRAPHS=0 replays call by call instead
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateTokens } from '../../dist/inference/decode/generate.js';
import { loadModel } from '../../dist/model/checkpoint/checkpoint.js';
import { Device } from '../../dist/tensor/device.js';
import { root } from './machine.mjs';

const folder = join(root, 'test/fixtures/original/greedy');
const { max_tokens: maxTokens, examples } = JSON.parse(readFileSync(join(folder, 'inputs.json'), 'utf8'));

async function tokensOn(name) {
  const device = new Device({ device: name, threads: 1 });
  try {
    const model = await loadModel(device, folder);
    const started = performance.now();
    const generated = await generateTokens(model, {
      instructions: examples.map(({ instruction }) => Int32Array.from(instruction)),
      inputs: examples.map(({ input }) => Int32Array.from(input)),
      taskIndex: examples.map((_, i) => i),
      maxTokens,
    });
    console.log(`${name}: ${examples.length} examples in ${(performance.now() - started).toFixed(0)} ms`);
    return generated.map(({ tokens }) => [...tokens]);
  } finally {
    await device.synchronize().catch(() => undefined);
    device.close();
  }
}

const [expected, actual] = [await tokensOn('cpu'), await tokensOn('cuda')];
const different = expected.filter((tokens, i) => tokens.join() !== actual[i]?.join()).length;
const graphs = process.env.HINT_CUDA_GRAPHS === '0' ? 'call by call' : 'with graphs';
console.log(
  `Decoded ${graphs}: ${expected.length - different} of ${expected.length} outputs are those of the CPU.`,
);
process.exitCode = different === 0 ? 0 : 1;
