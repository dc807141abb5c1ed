import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTrainingConfig, trainFromConfig } from '../../src/index.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { Written } from './written.js';

async function metricsOf(run: string): Promise<string[]> {
  return (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
}

const lossOf = (line: string): number => (JSON.parse(line) as { loss: number }).loss;

let written: Written;
beforeAll(async () => {
  await ensureCompiledWorker();
  written = await Written.copy();
});
afterAll(() => rm(written.folder, { recursive: true, force: true }));

describe('a run that version 0.1.0 stopped', () => {
  it.each(['hint', 'tk-instruct', 'gpt2', 'p3', 'text'])('goes on as that version did: %s', async (name) => {
    const run = written.at('runs', name);
    const { steps, runs } = written.expected;
    const before = await metricsOf(run);
    expect(before).toHaveLength(steps.stored);
    const config = parseTrainingConfig(await written.json(join('runs', name, 'config.json')));
    const summary = await trainFromConfig({ ...config, steps: steps.whole }, { resume: true });
    expect(summary).toMatchObject({ status: 'finished', step: steps.whole });
    const after = await metricsOf(run);
    expect(after.slice(0, steps.stored)).toEqual(before);
    written.expectNumbers(after.map(lossOf), runs[name]!.losses);
  });
});
