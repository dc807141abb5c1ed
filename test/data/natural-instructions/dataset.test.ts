import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  loadSniDataset,
  streamSniDataset,
  type SniDatasetOptions,
} from '../../../src/data/natural-instructions/dataset.js';
import { sniTaskFile } from '../../../src/data/natural-instructions/tasks.js';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';
import { ensureCompiledWorker } from '../compiled-worker.js';

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname;
const long = 'task2008_lama_original_language_of_film';

let tokenizer: Tokenizer;
let folder: string;
let checkout: string;
const started: Worker[] = [];
const watch = (worker: Worker): void => void started.push(worker);

beforeAll(async () => {
  await ensureCompiledWorker();
  tokenizer = await Tokenizer.load(fixture('tokenizer'));
  process.on('worker', watch);
});
afterAll(() => process.off('worker', watch));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-dataset-'));
  checkout = join(folder, 'sni');
  await cp(fixture('sni'), checkout, { recursive: true });
  started.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = (changed: Partial<SniDatasetOptions> = {}): SniDatasetOptions => ({
  directory: checkout,
  split: 'train',
  setting: { format: 'hint', positives: 0 },
  tokenizer,
  threads: 0,
  ...changed,
});
const edit = async (name: string, change: (task: Record<string, unknown>) => void): Promise<void> => {
  const file = sniTaskFile(checkout, name);
  const task = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  change(task);
  await writeFile(file, JSON.stringify(task));
};
const threadsLeft = (): number => started.filter((worker) => worker.threadId >= 0).length;

describe('loadSniDataset', () => {
  it('feeds HINT the instruction apart from the input', async () => {
    const examples = await loadSniDataset(options());
    expect(examples).toHaveLength(112);
    const [first] = examples;
    expect(tokenizer.decode(first!.instruction)).toMatch(/^In this task you are given one request/);
    expect(examples[99]!.instruction).toBe(first!.instruction);
    expect(first!.references).toEqual([tokenizer.decode(first!.target)]);
    for (const { instruction, input, target } of examples)
      expect([instruction.at(-1), input.at(-1), target.at(-1)]).toEqual([1, 1, 1]);
  });

  it('feeds Tk-Instruct everything in the input, and No-Instruct the input alone', async () => {
    const [tk] = await loadSniDataset(options({ setting: { format: 'tk-instruct', positives: 2 } }));
    const [none] = await loadSniDataset(options({ setting: { format: 'no-instruct', positives: 0 } }));
    expect([tk!.instruction.length, none!.instruction.length]).toEqual([0, 0]);
    const source = tokenizer.decode(tk!.input);
    expect(source).toMatch(/^Definition: In this task .* Positive Example 2 - .* Now complete .* Output:$/);
    expect(source).toContain(tokenizer.decode(none!.input));
  });

  it('keeps every reference and trains towards one of them', async () => {
    const examples = await loadSniDataset(options());
    const several = examples.filter(({ references }) => references.length > 1);
    expect(several.length).toBeGreaterThan(0);
    for (const { references, target } of several) expect(references).toContain(tokenizer.decode(target));
  });

  it('cuts a 5,000-token instruction, input and output at their limits, after the EOS was appended', async () => {
    const words = 'word '.repeat(5000);
    await edit(long, (task) => {
      task['Definition'] = [words];
      task['Instances'] = [{ id: 'x', input: words, output: [words] }];
    });
    const example = (await loadSniDataset(options())).at(-1)!;
    expect([example.instruction.length, example.input.length, example.target.length]).toEqual([
      1024, 1024, 256,
    ]);
    expect([example.instruction.at(-1), example.input.at(-1), example.target.at(-1)]).not.toContain(1);
    expect(example.references).toEqual([words]);
    const shorter = await loadSniDataset(
      options({ maxInstructionTokens: 9, maxInputTokens: 8, maxTargetTokens: 7 }),
    );
    const { instruction, input, target } = shorter.at(-1)!;
    expect([instruction.length, input.length, target.length]).toEqual([9, 8, 7]);
  });

  it('cuts a Tk-Instruct source to its first tokens, as text that ends its sequence again', async () => {
    await edit(long, (task) => {
      task['Instances'] = [{ id: 'x', input: 'word '.repeat(5000), output: ['y'] }];
    });
    const setting = { format: 'tk-instruct', positives: 2 } as const;
    const { input } = (await loadSniDataset(options({ setting, maxInputTokens: 64 }))).at(-1)!;
    expect(input).toHaveLength(64);
    expect(tokenizer.decode(input)).toMatch(/^Definition: Given the title/);
  });

  it('reads an empty or blank input as the end of sequence', async () => {
    await edit(long, (task) => {
      task['Instances'] = ['', ' \n\t'].map((input, i) => ({ id: `${i}`, input, output: [''] }));
    });
    for (const { input, target } of (await loadSniDataset(options())).slice(100))
      expect([[...input], [...target]]).toEqual([[1], [1]]);
  });

  it('reports its progress task by task', async () => {
    const seen: unknown[] = [];
    await loadSniDataset(options({ onProgress: (progress) => seen.push(progress) }));
    expect(seen).toEqual([
      { tasksDone: 1, tasksTotal: 2, examples: 100 },
      { tasksDone: 2, tasksTotal: 2, examples: 112 },
    ]);
  });

  it.each([
    [{ split: 'dev' }, 'INVALID_ARGUMENT'],
    [{ directory: '/nowhere' }, 'NOT_FOUND'],
    [{ setting: { format: 'gpt', positives: 0 } }, 'INVALID_ARGUMENT'],
    [{ instancesPerTask: 0 }, 'INVALID_ARGUMENT'],
    [{ maxInputTokens: 0 }, 'INVALID_ARGUMENT'],
    [{ seed: -3 }, 'INVALID_ARGUMENT'],
    [{ threads: -1 }, 'INVALID_ARGUMENT'],
    [{ signal: AbortSignal.abort() }, 'ABORTED'],
  ])('refuses %j', async (changed, code) => {
    await expect(loadSniDataset(options(changed as Partial<SniDatasetOptions>))).rejects.toMatchObject({
      name: 'HintError',
      code,
    });
  });

  it('refuses a split without any instance instead of training on nothing', async () => {
    for (const name of [long, 'task2004_atis_intent_identification'])
      await edit(name, (task) => void (task['Instances'] = []));
    await expect(loadSniDataset(options())).rejects.toMatchObject({ code: 'INVALID_DATA' });
  });
});

describe('the token cache', () => {
  const cached = (): SniDatasetOptions => options({ cacheDirectory: join(folder, 'cache') });
  const files = async (): Promise<string[]> =>
    (await readdir(join(folder, 'cache'))).map((name) => join(folder, 'cache', name));

  it('gives the same examples as tokenising, and is not written twice', async () => {
    const fresh = await loadSniDataset(cached());
    const before = await files();
    expect(before).toHaveLength(2);
    expect(await loadSniDataset(cached())).toEqual(fresh);
    expect(await files()).toEqual(before);
  });

  it('notices when a task, the format, a limit or the seed changes', async () => {
    await loadSniDataset(cached());
    await edit(long, (task) => void (task['Definition'] = ['Something else.']));
    expect(tokenizer.decode((await loadSniDataset(cached())).at(-1)!.instruction)).toBe('Something else.');
    await loadSniDataset({ ...cached(), maxInputTokens: 5 });
    await loadSniDataset({ ...cached(), setting: { format: 'hint', positives: 1 } });
    await loadSniDataset({ ...cached(), seed: 1 });
    await loadSniDataset({ ...cached(), instancesPerTask: Infinity });
    expect(await files()).toHaveLength(2 + 1 + 4 * 2);
  });

  it('is rebuilt when a file is cut off, flipped in one bit, emptied or not ours', async () => {
    const fresh = await loadSniDataset(cached());
    const [first, second] = (await files()) as [string, string];
    const whole = await readFile(first);
    const flipped = Buffer.from(whole);
    flipped[whole.length >> 1]! ^= 4;
    const harm = [
      () => truncate(first, whole.length - 4),
      () => truncate(first, 20),
      () => writeFile(first, flipped),
      () => writeFile(first, ''),
      () => writeFile(first, 'x'.repeat(whole.length)),
      () => cp(second, first),
    ];
    for (const damage of harm) {
      await damage();
      expect(await loadSniDataset(cached())).toEqual(fresh);
      expect(await readFile(first)).toEqual(whole);
    }
  });

  it('says so when it cannot be written', async () => {
    await writeFile(join(folder, 'cache'), 'a file in the way');
    await expect(loadSniDataset(cached())).rejects.toMatchObject({ code: 'IO' });
  });
});

describe('worker threads', () => {
  it('give the same examples in the same order as the calling thread, and are gone afterwards', async () => {
    const setting = { format: 'tk-instruct', positives: 2 } as const;
    const expected = await loadSniDataset(options({ setting }));
    expect(started).toHaveLength(0);
    expect(await loadSniDataset(options({ setting, threads: 2 }))).toEqual(expected);
    expect(started).toHaveLength(2);
    expect(threadsLeft()).toBe(0);
  });

  it('fill the cache that the calling thread reads', async () => {
    const cacheDirectory = join(folder, 'cache');
    const examples = await loadSniDataset(options({ threads: 1, cacheDirectory }));
    expect(await readdir(cacheDirectory)).toHaveLength(2);
    expect(await loadSniDataset(options({ cacheDirectory }))).toEqual(examples);
  });

  it('bring an error of a task file across as it is', async () => {
    await writeFile(sniTaskFile(checkout, long), '{"Definition": [');
    const error = await loadSniDataset(options({ threads: 1 })).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'HintError', code: 'INVALID_JSON' });
    expect((error as Error).message).toContain(long);
    expect(threadsLeft()).toBe(0);
  });

  it('stop in the middle of their work on abort', async () => {
    await edit(long, (task) => void (task['Definition'] = ['word '.repeat(3_000_000)]));
    const controller = new AbortController();
    const loading = loadSniDataset(options({ threads: 2, signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    await expect(loading).rejects.toMatchObject({ name: 'HintError', code: 'ABORTED' });
    expect(threadsLeft()).toBe(0);
  });

  it('are gone when the reader stops early', async () => {
    for await (const examples of streamSniDataset(options({ threads: 2 }))) {
      expect(examples).toHaveLength(100);
      break;
    }
    expect(threadsLeft()).toBe(0);
  });

  it('refuse a tokenizer that changed on disk since it was loaded', async () => {
    const file = join(folder, 'tokenizer.json');
    await cp(fixture('tokenizer/tokenizer.json'), file);
    const own = await Tokenizer.load(file);
    await writeFile(file, `${await readFile(file, 'utf8')}\n`);
    await expect(loadSniDataset(options({ tokenizer: own, threads: 1 }))).rejects.toMatchObject({
      code: 'FINGERPRINT_MISMATCH',
    });
  });
});
