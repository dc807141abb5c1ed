import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Roofs } from '../../../src/benchmark/estimate/roofs.js';
import type { PublishedSettings } from '../../../src/reproduce/published/index.js';
import { tinyConfig, TOKENIZER, writeModel } from '../../inference/models.js';
import { FIXTURES } from '../../training/tiny.js';

/** Rates of a device, so that tests measure none. */
export const RATES: Roofs = {
  name: 'a device',
  isAssumed: true,
  hasPasses: false,
  peak: 1e12,
  product: 1e12,
  smallProduct: 1e12,
  attention: 1e12,
  memory: 1e11,
  hostCopy: 1e10,
  launch: 1e-6,
  capacity: 2 ** 34,
};

/** A plain T5 of random weights in the place of a released one, with the tokenizer of tests. */
export const tinyT5 = (): Promise<string> => writeModel(tinyConfig(null, { d_model: 16 }));

/** A T5 in the form of the fixture's folder, with a tokenizer of letters that fits its 40 ids. */
export async function fixtureT5(folder: string, form: 'bin-shards' | 'flax-shards'): Promise<string> {
  const directory = join(folder, form);
  await mkdir(directory, { recursive: true });
  const source = join(FIXTURES, 'weights', 't5', form);
  for (const name of await readdir(source)) await cp(join(source, name), join(directory, name));
  const tokenizer = JSON.parse(await readFile(TOKENIZER, 'utf8')) as {
    added_tokens: { id: number }[];
    model: { vocab: [string, number][] };
  };
  const letters = Array.from('▁abcdefghijklmnopqrstuvwxyz.,?:"', (piece): [string, number] => [piece, -3]);
  tokenizer.model.vocab = [...tokenizer.model.vocab.slice(0, 3), ...letters];
  tokenizer.added_tokens = tokenizer.added_tokens.filter(({ id }) => id < 3);
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify(tokenizer));
  return directory;
}

/** The files of a folder as a hub has them. */
export async function filesOf(folder: string): Promise<Record<string, Buffer>> {
  const names = await readdir(folder);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  );
}

/** Six instances of the one test task of the fixture, two at a time. */
export function settingsFor(output: string, more: Partial<PublishedSettings> = {}): PublishedSettings {
  return {
    data: join(FIXTURES, 'sni'),
    limit: 6,
    batchSize: 2,
    dtype: 'f32',
    device: 'cpu',
    threads: 1,
    output,
    ...more,
  };
}
