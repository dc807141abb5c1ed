import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../src/formats/safetensors/file.js';
import { parseTrainingConfig, type TrainingConfigInput } from '../../src/training/config/config.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { tinyRun } from './run-setup.js';
import { FIXTURES } from './tiny.js';

let scratch: string;
beforeAll(async () => {
  await ensureCompiledWorker();
  scratch = await mkdtemp(join(tmpdir(), 'hint-p3-run-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const p3 = (more: object = {}): TrainingConfigInput['data'] => ({
  kind: 'p3',
  directory: join(FIXTURES, 'p3'),
  maxInputTokens: 64,
  maxTargetTokens: 8,
  ...more,
});
const losses = async (output: string): Promise<number[]> =>
  (await new RunDirectory(output).readMetrics()).map(({ loss }) => loss);

describe('training on P3', () => {
  it('lowers the loss, remembers how prompts were shown, and goes on where it stopped', async () => {
    const data = p3({ form: 'split', cache: join(scratch, 'cache') });
    const run = (name: string, steps: number) =>
      tinyRun(join(scratch, name), {
        data,
        steps,
        batchSize: 16,
        tokenBudget: 4000,
        learningRate: 0.1,
        dropout: 0,
      });
    const summary = await trainFromConfig(run('whole', 8));
    expect(summary).toMatchObject({ status: 'finished', examples: 31 });
    const whole = await losses(join(scratch, 'whole'));
    expect(whole.at(-1)).toBeLessThan(whole[0]! - 1);
    await using file = await openSafetensors(summary.model!);
    expect(Object.fromEntries(file.metadata)).toMatchObject({ system: 'hint', form: 'split', shots: '0' });

    await trainFromConfig(run('parts', 3));
    await trainFromConfig(run('parts', 8), { resume: true });
    expect(await losses(join(scratch, 'parts'))).toEqual(whole);
  });

  it.each(['tk-instruct', 'no-instruct'])('trains %s, which has no hypernetwork', async (system) => {
    const run = tinyRun(join(scratch, system), { system, data: p3(), steps: 2 });
    expect(await trainFromConfig({ ...run, model: { ...run.model, hint: {} } })).toMatchObject({ step: 2 });
  });
});

describe('data in a configuration', () => {
  const parse = (data: object) => parseTrainingConfig({ model: { init: 'a' }, output: 'b', data });

  it('is Super-NaturalInstructions where no kind is named', () => {
    expect(parse({ directory: 'x' }).data).toMatchObject({ kind: 'sni', positives: 0 });
    expect(parse({ kind: 'p3', directory: 'x' }).data).toMatchObject({
      maxInstructionTokens: 512,
      cap: 500_000,
    });
  });

  it.each([
    [{ kind: 'p4', directory: 'x' }, /data.kind is "p4": .*sni, p3/],
    [{ kind: 'p3', directory: 'x', positives: 2 }, /data.positives is unknown.*form, shots/],
    [{ kind: 'p3', directory: 'x', form: 'both' }, /data.form is "both"/],
    [{ directory: 'x', shots: 2 }, /data.shots is unknown.*positives/],
  ])('refuses %j', (data, message) => {
    expect(() => parse(data)).toThrow(message);
  });
});
