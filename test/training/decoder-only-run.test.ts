import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadSniDataset } from '../../src/data/natural-instructions/dataset.js';
import { evaluateModel } from '../../src/evaluation/evaluate.js';
import { Engine } from '../../src/inference/engine.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { FIXTURES } from './tiny.js';

const folder = await mkdtemp(join(tmpdir(), 'hint-gpt2-'));
beforeAll(ensureCompiledWorker, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

it('a run of the system gpt2 trains from its configuration, and its model compiles, answers and is scored', async () => {
  const output = join(folder, 'run');
  const summary = await trainFromConfig(
    parseTrainingConfig({
      system: 'gpt2',
      model: {
        init: {
          config: {
            model_type: 'gpt2',
            vocab_size: 330,
            n_embd: 16,
            n_layer: 1,
            n_head: 2,
            n_positions: 2048,
            bos_token_id: 0,
            eos_token_id: 0,
          },
        },
        tokenizer: join(FIXTURES, 'bpe-tokenizer'),
      },
      data: {
        directory: join(FIXTURES, 'sni'),
        instancesPerTask: 2,
        maxInstructionTokens: 100,
        maxInputTokens: 60,
        maxTargetTokens: 8,
      },
      output,
      steps: 2,
      batchSize: 4,
      threads: 1,
    }),
  );
  expect(summary.status).toBe('finished');
  await using engine = await Engine.open(summary.model as string, { threads: 1 });
  using task = await engine.compile({ definition: 'Name the colour in the list.' });
  expect(task.instructionTokens).toBeGreaterThan(5);
  const inputs = ['cat green salad', 'a', 'red'];
  const answers = await task.generate(inputs, { maxTokens: 5 });
  // What is said of one input does not depend on the others, nor on a trip through a file.
  const [alone] = await task.generate(['a'], { maxTokens: 5 });
  expect(alone).toEqual(answers[1]);
  expect(await engine.submit({ task, input: 'a', maxTokens: 5 })).toEqual(alone);
  await task.save(join(folder, 'task.safetensors'));
  using loaded = await engine.loadTask(join(folder, 'task.safetensors'));
  expect(await loaded.generate(inputs, { maxTokens: 5 })).toEqual(answers);
  await expect(engine.compile({ definition: 'x', format: 'hint' })).rejects.toMatchObject({
    message: expect.stringContaining('decoder-only (causal)'),
  });

  const tokenizer = engine.tokenizer!;
  const examples = await loadSniDataset({
    directory: join(FIXTURES, 'sni'),
    split: 'test',
    setting: { format: 'causal', positives: 0 },
    tokenizer,
    instancesPerTask: 2,
    threads: 0,
  });
  const before = engine.model.device.statistics().flops;
  const result = await evaluateModel({ model: engine.model, tokenizer }, examples, { maxTokens: 4 });
  expect(result.predictions).toHaveLength(examples.length);
  expect(result.tasksCompiled).toBe(new Set(examples.map(({ instruction }) => instruction)).size);
  expect(result.flopsPer100).toBeGreaterThan(0);
  expect(engine.model.device.statistics().flops).toBeGreaterThan(before);
});
