// Small things of the JavaScript side, one benchmark.js suite: tokenizer, enqueueing, compiling against loading a task.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Benchmark from 'benchmark';
import { Engine, Tokenizer } from '../dist/index.js';
import { Device, ops } from '../dist/tensor/index.js';
import { benchConfig, randomModel, randomTokens, uniforms } from '../dist/benchmark/random-model.js';
import { dropTemporary, temporaryFolder } from '../dist/util/temporary.js';

const TOKENIZER = fileURLToPath(new URL('../test/fixtures/tokenizer/tokenizer.json', import.meta.url));
const TEXT =
  'In this task, you are given a sentence and a question about it. Answer the question with one word from the ' +
  'sentence, and write "unknown" when the sentence does not say. Sentence: The red boat left the harbour at noon.';
const ENQUEUED = 1000;

/**
 * @param {{ seconds: number, onProgress?: (done: number, total: number) => void }} options per measurement
 * @returns {Promise<{ name: string, seconds: number, relativeError: number, samples: number[] }[]>}
 */
export async function benchSmall({ seconds, onProgress }) {
  const device = new Device();
  const directory = await temporaryFolder('hint-bench');
  try {
    const suite = new Benchmark.Suite();
    const add = (name, work, parts = 1) => {
      const fn = (deferred) => work().then(() => deferred.resolve());
      suite.add(name, { defer: true, fn, maxTime: seconds, minSamples: 3, parts });
    };
    const tokenizer = await Tokenizer.load(TOKENIZER);
    suite.add(`tokenizer: encode ${TEXT.length} characters`, () => tokenizer.encode(TEXT), {
      maxTime: seconds,
    });

    const x = device.full([4], 1);
    add(
      'enqueue and run one op on 4 values',
      async () => {
        device.tidy(() => {
          for (let i = 0; i < ENQUEUED; i++) ops.scale(x, 2);
        });
        await device.synchronize();
      },
      ENQUEUED,
    );
    add('await one op on 4 values', async () => {
      device.tidy(() => void ops.scale(x, 2));
      await device.synchronize();
    });

    const engine = new Engine(await randomModel(device, benchConfig('small', 64)));
    const instruction = randomTokens(uniforms(4), 69);
    const path = join(directory, 'task.safetensors');
    const task = await engine.compileTokens(instruction);
    await task.save(path);
    add('compile an instruction of 69 tokens (small)', async () => {
      (await engine.compileTokens(instruction)).dispose();
    });
    add('load that task from its file', async () => {
      (await engine.loadTask(path)).dispose();
    });
    return await run(suite, onProgress);
  } finally {
    device.close();
    await dropTemporary(directory);
  }
}

function run(suite, onProgress) {
  return new Promise((resolve, reject) => {
    const rows = [];
    suite.on('cycle', ({ target }) => {
      const { parts = 1 } = target.options;
      rows.push({
        name: target.name,
        seconds: target.stats.mean / parts,
        relativeError: target.stats.rme / 100,
        samples: target.stats.sample.map((sample) => sample / parts),
      });
      onProgress?.(rows.length, suite.length);
    });
    suite.on('error', ({ target }) => reject(target.error));
    suite.on('complete', () => resolve(rows));
    suite.run({ async: true });
  });
}
