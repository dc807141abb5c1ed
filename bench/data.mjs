// Examples per second of reader, formatter and tokenizer together, against what a training step takes.
import { readFile, writeFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  findSystem,
  buildModel,
  initialiseParameters,
  loadSniDataset,
  P3Source,
  parseModelConfig,
  PoolSource,
  Tokenizer,
  Trainer,
} from '../dist/index.js';
import { Device } from '../dist/tensor/index.js';
import { ADAFACTOR, Optimizer } from '../dist/training/step/optimizer.js';
import { assignGroups } from '../dist/training/step/parameter-groups.js';
import { writeDemoDataset } from '../dist/demo/files.js';
import { secondsOf } from '../dist/benchmark/turns.js';
import { median } from '../dist/util/statistics.js';
import { dropTemporary, temporaryFolder } from '../dist/util/temporary.js';

const FIXTURES = fileURLToPath(new URL('../test/fixtures', import.meta.url));
const MODEL = { d_model: 64, d_kv: 16, d_ff: 128, num_layers: 2, num_heads: 4 };
const STEPS = 4;

/** The P3 fixture with each training row many times, under numbers of its own. */
async function manyP3Rows(directory, copies) {
  await cp(join(FIXTURES, 'p3'), directory, { recursive: true });
  for (const name of ['quarel', 'app_reviews']) {
    const file = join(directory, 'train', `${name}.jsonl.gz`);
    const rows = gunzipSync(await readFile(file))
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const many = Array.from({ length: copies }, (_, i) =>
      rows.map((row) => `${JSON.stringify({ ...row, idx: row.idx + 1000 * i })}\n`).join(''),
    );
    await writeFile(file, gzipSync(many.join('')));
  }
}

/** Examples per second of a trainer on the tiny model: the hungriest that a run could be. */
async function trainerRate(source, tokenizer) {
  const device = new Device();
  try {
    const config = parseModelConfig({
      ...MODEL,
      vocab_size: tokenizer.vocabSize,
      hint: { adapter_size: 16, prefix_length: 4 },
    });
    const model = buildModel(device, config, initialiseParameters(device, config, 1));
    const groups = assignGroups(model.parameters.entries(), findSystem('hint').groups, {
      firstStep: 0,
      multiplyByParameterScale: true,
    });
    const trainer = new Trainer(
      { model, source, optimizer: new Optimizer(device, ADAFACTOR, groups) },
      {
        batchSize: 64,
        tokenBudget: 8192,
        schedule: { kind: 'constant', learningRate: 1e-3, warmupSteps: 0, steps: STEPS },
        firstStep: 0,
        dropout: 0.1,
        generatorDropout: 0,
        zLoss: 1e-4,
        seed: 1,
        backward: 'none',
      },
    );
    const rates = [];
    for await (const report of trainer.steps()) rates.push(report.examplesPerSecond);
    return median(rates.slice(1));
  } finally {
    await device.synchronize();
    device.close();
  }
}

/**
 * @param {{ rounds: number, onProgress?: (done: number, total: number) => void }} options
 * @returns {Promise<{ rows: { data: string, examples: number, examplesPerSecond: number,
 *   trainerExamplesPerSecond: number }[] }>}
 */
export async function benchData({ rounds, onProgress }) {
  const folder = await temporaryFolder('hint-bench-data');
  try {
    const tokenizer = await Tokenizer.load(join(FIXTURES, 'tokenizer'));
    const sni = join(folder, 'sni');
    const p3 = join(folder, 'p3');
    await writeDemoDataset(sni, { seed: 1, trainInstances: 100 });
    await manyP3Rows(p3, 400);
    const setting = findSystem('hint').setting(2);
    const readers = {
      'SNI, Def + 2 Pos': async () =>
        PoolSource.of(
          await loadSniDataset({ directory: sni, split: 'train', setting, tokenizer, instancesPerTask: 100 }),
          1,
        ),
      'P3, split': () =>
        P3Source.open({ directory: p3, split: 'train', setting: { form: 'split', shots: 0 }, tokenizer }),
    };
    const rows = [];
    for (const [i, [data, open]] of Object.entries(readers).entries()) {
      let source;
      const seconds = [];
      for (let round = 0; round < rounds; round++) {
        seconds.push(await secondsOf(async () => (source = await open())));
        onProgress?.(i * rounds + round + 1, 2 * rounds);
      }
      rows.push({
        data,
        examples: source.size,
        examplesPerSecond: source.size / median(seconds),
        trainerExamplesPerSecond: await trainerRate(source, tokenizer),
      });
    }
    return { rows };
  } finally {
    await dropTemporary(folder);
  }
}
