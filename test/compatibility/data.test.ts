import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadSniDataset, P3Source, parseTrainingConfig, findSystem, Tokenizer } from '../../src/index.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { Written } from './written.js';

let written: Written;
let tokenizer: Tokenizer;
beforeAll(async () => {
  await ensureCompiledWorker();
  written = await Written.copy();
  tokenizer = await Tokenizer.load(written.at('data/tokenizers/t5'));
});
afterAll(() => rm(written.folder, { recursive: true, force: true }));

/** Every file of the cache with what changes when it is written again. */
async function stateOf(cache: string): Promise<Map<string, string>> {
  const names = (await readdir(cache, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const states = await Promise.all(names.map((name) => stat(name)));
  return new Map(names.map((name, i) => [name, `${states[i]!.ino} ${states[i]!.mtimeMs}`]));
}

async function dataOf(run: string) {
  const config = parseTrainingConfig(await written.json(join('runs', run, 'config.json')));
  return { data: config.data, seed: config.seed, system: findSystem(config.system) };
}

it('tokens of Super-NaturalInstructions are found in the cache of version 0.1.0', async () => {
  const { data, seed, system } = await dataOf('hint');
  if (data.kind !== 'sni') throw new Error(`the run is on ${data.kind}`);
  const before = await stateOf(data.cache!);
  const { directory, split, instancesPerTask, maxInstructionTokens, maxInputTokens, maxTargetTokens } = data;
  const options = {
    ...{ directory, split, instancesPerTask, maxInstructionTokens, maxInputTokens, maxTargetTokens },
    ...{ tokenizer, seed, setting: system.setting(data.positives) },
  };
  const cached = await loadSniDataset({ ...options, cacheDirectory: data.cache });
  expect(await stateOf(data.cache!)).toEqual(before);
  expect(cached).toEqual(await loadSniDataset(options));
});

it('tokens of P3 are found in the cache of version 0.1.0', async () => {
  const { data, seed, system } = await dataOf('p3');
  if (data.kind !== 'p3') throw new Error(`the run is on ${data.kind}`);
  const before = await stateOf(data.cache!);
  const { directory, split, maxInstructionTokens, maxInputTokens, maxTargetTokens } = data;
  const options = {
    ...{ directory, split, maxInstructionTokens, maxInputTokens, maxTargetTokens },
    ...{ tokenizer, seed, setting: system.p3Setting({ form: data.form, shots: data.shots }) },
  };
  const cached = await P3Source.open({ ...options, cacheDirectory: data.cache });
  expect(await stateOf(data.cache!)).toEqual(before);
  const fresh = await P3Source.open(options);
  expect(cached.fingerprint).toBe(fresh.fingerprint);
  expect(await cached.next(20)).toEqual(await fresh.next(20));
});
