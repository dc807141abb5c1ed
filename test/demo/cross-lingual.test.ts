import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadSniDataset } from '../../src/data/natural-instructions/dataset.js';
import { writeDemoDataset } from '../../src/demo/files.js';
import { DEMO_MODEL } from '../../src/demo/settings.js';
import { evaluateModel } from '../../src/evaluation/evaluate.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { packageRoot } from '../../src/util/package-root.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hint-cross-lingual-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

it('an mT5 trains on the cross-lingual track and is scored on it', async () => {
  const [directory, output] = [join(root, 'data'), join(root, 'run')];
  await writeDemoDataset(directory, { seed: 1, wordings: 1, trainInstances: 1, testInstances: 1 });
  const shape = { d_model: 16, d_kv: 4, d_ff: 16, num_heads: 2, num_layers: 1, num_decoder_layers: 1 };
  const tokenizer = join(packageRoot(), 'models', 'demo-t5');
  const config = parseTrainingConfig({
    system: 'hint',
    model: {
      init: { config: { ...DEMO_MODEL, ...shape, model_type: 'mt5' } },
      tokenizer,
      hint: { adapterSize: 2, prefixLength: 1 },
    },
    data: { directory, track: 'xlingual' },
    output,
    steps: 1,
    batchSize: 4,
  });
  expect((await trainFromConfig(config)).status).toBe('finished');
  using device = new Device();
  const model = await loadModel(device, join(output, 'model'));
  const words = await Tokenizer.load(tokenizer);
  const setting = findSystem('hint').setting(0);
  const examples = await loadSniDataset({
    directory,
    split: 'test',
    track: 'xlingual',
    setting,
    tokenizer: words,
    threads: 0,
  });
  expect(examples).toHaveLength(16);
  const { scores } = await evaluateModel({ model, tokenizer: words }, examples, {
    track: 'xlingual',
    maxTokens: 2,
  });
  expect(scores.rougeL).toBeGreaterThanOrEqual(0);
  model.dispose();
});
