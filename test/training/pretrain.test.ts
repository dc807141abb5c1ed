import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLineage } from '../../src/training/run/lineage.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import type { TrainingConfig, TrainingConfigInput } from '../../src/training/config/config.js';
import { sha256Hex } from '../../src/util/hash.js';
import { tinyRun } from './run-setup.js';
import { FIXTURES } from './tiny.js';

const START = 1_100_000;

let scratch: string;
let pretrained: string;
const at = (name: string): string => join(scratch, name);
const pretraining = (output: string, changes: Partial<TrainingConfigInput> = {}): TrainingConfig =>
  tinyRun(output, {
    data: {
      kind: 'text',
      files: join(FIXTURES, 'text'),
      segmentTokens: 32,
      documentsPerGroup: 4,
      shuffleBuffer: 10,
      threads: 0,
    },
    dropout: 0,
    firstStep: START,
    tokenBudget: 200,
    steps: 12,
    saveEvery: 100,
    ...changes,
  });
const model = async (run: string): Promise<string> =>
  sha256Hex(await readFile(join(run, 'model', 'model.safetensors')));
const configOf = (run: string): Promise<TrainingConfig> => new RunDirectory(run).readConfig();

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-pretrain-'));
  pretrained = at('pretrained');
  await trainFromConfig(pretraining(pretrained));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

describe('pretraining on text', () => {
  it('sees its loss fall and records how far it has come', async () => {
    const metrics = await new RunDirectory(pretrained).readMetrics();
    expect(metrics.at(-1)!.loss).toBeLessThan(metrics[0]!.loss - 0.5);
    expect(await readLineage(join(pretrained, 'model'))).toEqual({
      step: START + 12,
      stepOffsets: { hyper: START, t5: 0 },
    });
  });

  it('goes on after an interruption to the same bits', async () => {
    const controller = new AbortController();
    const output = at('interrupted');
    const stopped = await trainFromConfig(pretraining(output), {
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind === 'step' && event.report.step === 5) controller.abort();
      },
    });
    expect(stopped.status).toBe('stopped');
    expect(stopped.step).toBeLessThan(12);
    await trainFromConfig(pretraining(output), { resume: true });
    expect(await model(output)).toBe(await model(pretrained));
  });

  it.each(['caclm', 'caclm6'] as const)('trains with the objective %s', async (objective) => {
    const data = { ...pretraining('any').data, objective } as TrainingConfigInput['data'];
    const summary = await trainFromConfig(pretraining(at(objective), { data, steps: 2 }));
    expect(summary).toMatchObject({ status: 'finished', step: 2 });
  });

  it('only writes the starting model with the objective none', async () => {
    const output = at('none');
    const data = { kind: 'text', objective: 'none' } as const;
    const summary = await trainFromConfig(pretraining(output, { data, steps: 0 }));
    expect(summary).toMatchObject({ status: 'finished', step: 0, examples: 0 });
    expect((await readLineage(join(output, 'model')))?.step).toBe(START);
    await expect(trainFromConfig(pretraining(at('refused'), { data }))).rejects.toThrow(/set steps to 0/);
  });

  it('refuses systems that read no instruction, and no text', async () => {
    const run = (changes: Partial<TrainingConfigInput>) =>
      trainFromConfig(pretraining(at('refused-too'), changes));
    await expect(
      run({ system: 'tk-instruct', model: { ...pretraining('any').model, hint: {} } }),
    ).rejects.toThrow(/tk-instruct has no hypernetwork that reads an instruction.*choose one of hint/);
    await expect(run({ data: { kind: 'text' } })).rejects.toThrow(/data\.files is missing/);
  });
});

describe('fine-tuning a pretrained model', () => {
  const tune = (output: string, changes: Partial<TrainingConfigInput> = {}): TrainingConfig => {
    const { tokenizer, hint } = pretraining('any').model;
    const init = join(pretrained, 'model');
    return tinyRun(output, { model: { init, tokenizer, hint }, steps: 2, ...changes } as TrainingConfigInput);
  };

  it('goes on with the step counter, and with the schedule of the hypernetwork', async () => {
    const output = at('tuned');
    await trainFromConfig(tune(output));
    const config = await configOf(output);
    expect(config.firstStep).toBe(START + 12);
    expect(config.optimizer).toMatchObject({ groups: { hyper: { stepOffset: START } } });
    expect(await readLineage(join(output, 'model'))).toEqual({
      step: START + 14,
      stepOffsets: { hyper: START, t5: 0 },
    });
    const longer = await trainFromConfig(tune(output, { steps: 3 }), { resume: true });
    expect(longer.step).toBe(3);
    expect((await configOf(output)).firstStep).toBe(START + 12);
  });

  it('starts a new hypernetwork’s schedule afresh', async () => {
    const output = at('plain');
    const config = tune(output, { system: 'tk-instruct' });
    await trainFromConfig({ ...config, model: { ...config.model, hint: {} } });
    const init = join(output, 'model');
    const fresh = at('fresh');
    await trainFromConfig(tune(fresh, { model: { ...config.model, init }, steps: 1 } as TrainingConfigInput));
    expect((await readLineage(join(fresh, 'model')))?.stepOffsets).toEqual({ hyper: START + 14, t5: 0 });
  });

  it('takes what the configuration says before what the model says', async () => {
    const output = at('own');
    await trainFromConfig(tune(output, { firstStep: 0, steps: 1 }));
    expect(await readLineage(join(output, 'model'))).toEqual({ step: 1, stepOffsets: { hyper: 0, t5: 0 } });
  });
});
