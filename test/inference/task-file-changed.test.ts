import { mkdtemp, readFile, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HintError } from '../../src/util/errors.js';
import { Engine } from '../../src/inference/engine.js';
import { CounterRng } from '../../src/util/counter-rng.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A task file taken apart; what it says about itself is parsed. */
interface Parts {
  header: { [key: string]: Json };
  task: Json;
  data: Buffer;
}

async function takeApart(path: string): Promise<Parts> {
  const bytes = await readFile(path);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, end).toString()) as Parts['header'];
  const metadata = header['__metadata__'] as { [key: string]: string };
  return { header, task: JSON.parse(metadata['task'] as string) as Json, data: bytes.subarray(end) };
}

function putTogether({ header, data }: Pick<Parts, 'header' | 'data'>): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

function withTask({ header, data }: Parts, task: Json): Buffer {
  const metadata = { ...(header['__metadata__'] as object), task: JSON.stringify(task) };
  return putTogether({ header: { ...header, __metadata__: metadata }, data });
}

/** A change somewhere in a JSON value, made in place. */
interface Change {
  says: string;
  make: (root: Json) => void;
}

const WORDS = ['', 'bf16', 'f32', 'hint-mimic', 'tk-instruct', 'no-instruct', 'causal', 'I32'];
const NUMBERS = [0, 1, -1, 1.5, 65_537, 1e15];

/** Every change of one field of a JSON value: other values, kinds, orders, less and more. */
function changesOf(root: Json, path: (string | number)[] = []): Change[] {
  const at = (value: Json, keys: readonly (string | number)[]): Json =>
    keys.reduce<Json>((inner, key) => (inner as { [key: string]: Json })[key] as Json, value);
  const here = at(root, path);
  const changes: Change[] = [];
  const add = (
    what: string,
    change: (owner: { [key: string]: Json }, key: string | number) => void,
  ): void => {
    changes.push({
      says: `${path.join('.') || 'all'}: ${what}`,
      make: (given) => change(at(given, path.slice(0, -1)) as { [key: string]: Json }, path.at(-1) ?? ''),
    });
  };
  if (path.length > 0) {
    const others: Json[] = typeof here === 'number' ? NUMBERS : typeof here === 'string' ? WORDS : [];
    for (const other of [...others, null, true, [], {}, 'x', 7])
      if (JSON.stringify(other) !== JSON.stringify(here))
        add(`becomes ${JSON.stringify(other)}`, (owner, key) => (owner[key] = other));
    add('goes', (owner, key) => (Array.isArray(owner) ? owner.splice(key as number, 1) : delete owner[key]));
    if (typeof here === 'string') {
      add('ends otherwise', (owner, key) => (owner[key] = `${here}y`));
      add('ends earlier', (owner, key) => (owner[key] = here.slice(0, -1)));
    }
  }
  const inner = (given: Json): Json => at(given, path);
  if (Array.isArray(here)) {
    const edit = (what: string, make: (list: Json[]) => void): void =>
      void changes.push({
        says: `${path.join('.')}: ${what}`,
        make: (given) => make(inner(given) as Json[]),
      });
    if (here.length > 1) edit('turned around', (list) => list.reverse());
    if (here.length > 1)
      edit('first two exchanged', (list) => list.splice(0, 2, list[1] as Json, list[0] as Json));
    if (here.length > 0) edit('last one twice', (list) => list.push(structuredClone(list.at(-1) as Json)));
    if (here.length > 0) edit('first one longer by it', (list) => list.push(list[0] as Json));
  } else if (here && typeof here === 'object') {
    for (const name of ['constructor', '__proto__', 'more']) {
      changes.push({
        says: `${path.join('.')}: has ${name}`,
        make: (given) =>
          Object.defineProperty(inner(given), name, { value: [0], enumerable: true, writable: true, configurable: true }), // prettier-ignore
      });
    }
    const keys = Object.keys(here);
    for (const [i, key] of keys.entries()) {
      const next = keys[i + 1];
      if (next === undefined) continue;
      changes.push({
        says: `${path.join('.')}: ${key} and ${next} exchanged`,
        make: (given) => {
          const owner = inner(given) as { [key: string]: Json };
          [owner[key], owner[next]] = [owner[next] as Json, owner[key] as Json];
        },
      });
    }
  }
  if (here && typeof here === 'object')
    for (const key of Object.keys(here)) changes.push(...changesOf(root, [...path, Array.isArray(here) ? Number(key) : key])); // prettier-ignore
  return changes;
}

const definition = 'Say the opposite of the word.';
const examples = [{ input: 'hot', output: 'cold' }];
const texts = ['big', 'slow and old'];

const directories: string[] = [];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-task-changed-'));
  directories.push(folder);
});
afterAll(() => removeAll(directories));

/** A saved task with its engine, and what it answers. */
interface Saved {
  engine: Engine;
  parts: Parts;
  path: string;
  answersOf: (path: string) => Promise<unknown>;
}

async function saved(directory: string, inputs: readonly string[] | readonly Int32Array[]): Promise<Saved> {
  const engine = await Engine.open(directory, { threads: 1 });
  const path = join(folder, 'saved.safetensors');
  using task = engine.tokenizer
    ? await engine.compile({ definition, examples })
    : await engine.compileTokens(Int32Array.of(19, 48, 52, 27));
  await task.save(path);
  const answersOf = async (file: string): Promise<unknown> => {
    using loaded = await engine.loadTask(file);
    return (await loaded.generate(inputs, { maxTokens: 6 })).map(({ tokens }) => [...tokens]);
  };
  return { engine, parts: await takeApart(path), path, answersOf };
}

/** What loading a changed file comes to: refused by a HintError, or other answers, told; the same answers are neither. */
async function outcomeOf({ answersOf }: Saved, bytes: Uint8Array, expected: unknown): Promise<string> {
  const path = join(folder, 'changed.safetensors');
  await writeFile(path, bytes);
  try {
    const answers = await answersOf(path);
    return JSON.stringify(answers) === JSON.stringify(expected) ? 'same' : 'OTHER ANSWERS';
  } catch (error) {
    return error instanceof HintError && error.code !== 'INTERNAL' ? 'refused' : `DIED: ${String(error)}`;
  }
}

/** A folder to be removed when all is done. */
async function written(model: Promise<string>): Promise<string> {
  const directory = await model;
  directories.push(directory);
  return directory;
}

const MODELS: [string, () => Promise<string>, readonly string[] | readonly Int32Array[]][] = [
  ['HINT', () => written(writeModel(tinyConfig(FULL_HINT))), texts],
  ['plain T5', () => written(writeModel(tinyConfig(null))), texts],
  [
    'plain T5 of ids',
    () => written(writeModel(tinyConfig(null), { tokenizer: false })),
    [Int32Array.of(9, 8, 1)],
  ],
  ['GPT-2', () => Promise.resolve(fixture('decoder-only/gpt2')), [Int32Array.of(31, 21, 60)]],
];

describe('a task file that was changed gives the answers that were saved, or is refused:', () => {
  it.each(MODELS)('every field of %s, one at a time', async (_, directoryOf, inputs) => {
    const directory = await directoryOf();
    const one = await saved(directory, inputs);
    const expected = await one.answersOf(one.path);
    const bad: string[] = [];
    const counts = { refused: 0, same: 0 };
    const attempt = async (says: string, bytes: Buffer): Promise<void> => {
      const outcome = await outcomeOf(one, bytes, expected);
      if (outcome === 'refused' || outcome === 'same') counts[outcome]++;
      else bad.push(`${says}: ${outcome}`);
    };
    for (const { says, make } of changesOf(one.parts.header)) {
      const header = structuredClone(one.parts.header);
      make(header);
      await attempt(`header, ${says}`, putTogether({ ...one.parts, header }));
    }
    for (const { says, make } of changesOf(one.parts.task)) {
      const task = structuredClone(one.parts.task);
      make(task);
      await attempt(`task, ${says}`, withTask(one.parts, task));
    }
    await one.engine.close();
    expect(bad).toEqual([]);
    expect(counts.refused).toBeGreaterThan(100);
  });

  it('any bit of what stands in front of the tensors', async () => {
    const directory = await writeModel(tinyConfig({ adapter_size: 2, prefix_length: 1 }));
    directories.push(directory);
    const one = await saved(directory, texts);
    const expected = await one.answersOf(one.path);
    const whole = await readFile(one.path);
    const end = whole.length - one.parts.data.length;
    const random = new CounterRng(7, 0, 0);
    const outcomes: string[] = [];
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(whole);
      const at = random.below(end);
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      outcomes.push(await outcomeOf(one, bytes, expected));
    }
    await one.engine.close();
    expect(outcomes.filter((outcome) => outcome !== 'refused' && outcome !== 'same')).toEqual([]);
    expect(outcomes.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(200);
  });

  it('without a seal too, as files are that were written before there were seals', async () => {
    const directory = await writeModel(tinyConfig(FULL_HINT));
    directories.push(directory);
    const one = await saved(directory, texts);
    delete (one.parts.header['__metadata__'] as { [key: string]: Json })['seal'];
    const expected = await one.answersOf(one.path);
    expect(await outcomeOf(one, putTogether(one.parts), expected)).toBe('same');
    const bad: string[] = [];
    // Tensors of one shape in each other's place are what only a seal can tell.
    const blind = /^(prefix_key|adapter_|lora_).*(data_offsets|exchanged)|: .* exchanged$/;
    for (const { says, make } of changesOf(one.parts.header)) {
      if (blind.test(says)) continue;
      const header = structuredClone(one.parts.header);
      make(header);
      const outcome = await outcomeOf(one, putTogether({ ...one.parts, header }), expected);
      if (outcome !== 'refused' && outcome !== 'same') bad.push(`header, ${says}: ${outcome}`);
    }
    for (const { says, make } of changesOf(one.parts.task)) {
      const task = structuredClone(one.parts.task);
      make(task);
      const outcome = await outcomeOf(one, withTask(one.parts, task), expected);
      if (outcome !== 'refused' && outcome !== 'same') bad.push(`task, ${says}: ${outcome}`);
    }
    await one.engine.close();
    expect(bad).toEqual([]);
  });
});

describe('a task file is refused by the name of what does not fit the model:', () => {
  let one: Saved;
  beforeAll(async () => {
    const directory = await writeModel(tinyConfig(FULL_HINT));
    directories.push(directory);
    one = await saved(directory, texts);
  });
  afterAll(() => one.engine.close());

  type Task = { slots: Record<string, number[]>; [key: string]: Json };
  it.each<[string, (task: Task) => void, RegExp]>([
    ['permuted slots', ({ slots }) => slots['adapter_up']?.reverse(), /slots of adapter_up do not fit the model: \[4, 2, 1, 0\], expected \[0, 1, 2, 4\]/], // prettier-ignore
    ['a slot twice', ({ slots }) => (slots['prefix_key'] = [0, 0, 2, 3, 4, 5]), /slots of prefix_key/],
    ['a slot less', ({ slots }) => slots['prefix_key']?.pop(), /slots of prefix_key/],
    ['a slot more', ({ slots }) => slots['prefix_key']?.push(6), /slots of prefix_key/],
    [
      'the other sites’ slots',
      ({ slots }) => (slots['adapter_down'] = [0, 1, 3, 5]),
      /slots of adapter_down/,
    ],
    ['no slots of a kind', ({ slots }) => delete slots['lora_q_a'], /slots of lora_q_a .*\[none\]/],
    ['slots of a kind it does not have', ({ slots }) => (slots['lora_k_a'] = [0]), /"lora_k_a"/],
    ['slots of constructor', ({ slots }) => (slots['constructor'] = [0]), /"constructor"/],
    ['ids in front of inputs', (task) => (task['inputPrefix'] = [5]), /ids in front of inputs/],
    [
      'another format',
      (task) => ((task['source'] as { format: string }).format = 'causal'),
      /format is causal/,
    ],
    ['a smaller budget', (task) => ((task['source'] as { maxTokens: number }).maxTokens = 3), /encoded instruction has \d+ tokens, the limit is 3/], // prettier-ignore
    ['keys of nothing', (task) => delete task['keys'], /keys/],
    ['an unknown field', (task) => (task['extra'] = 1), /extra/],
  ])('%s', async (_, change, message) => {
    const task = structuredClone(one.parts.task) as Task;
    change(task);
    const path = join(folder, 'named.safetensors');
    await writeFile(path, withTask(one.parts, task));
    await expect(one.engine.loadTask(path)).rejects.toThrow(message);
    await expect(one.engine.loadTask(path)).rejects.toMatchObject({ code: 'INVALID_CHECKPOINT' });
  });

  it('a huge prefix or instruction, before any memory is taken for it', async () => {
    const path = join(folder, 'huge.safetensors');
    for (const [name, shape, message] of [
      ['prefix_key', [1, 6, 50_000_000, 32], /prefix_key is F32 \[1, 6, 50000000, 32\], expected/],
      ['instruction', [300_000_000, 32], /encoded instruction has 300000000 tokens, the limit is 1024/],
    ] as const) {
      const header = structuredClone(one.parts.header) as Record<
        string,
        { shape: number[]; data_offsets: number[] }
      >;
      // Its bytes are a hole at the end of the file.
      const entries = Object.entries(header).filter(([key]) => key !== '__metadata__' && key !== name);
      let begin = 0;
      for (const [, entry] of entries) {
        const size = (entry.data_offsets[1] as number) - (entry.data_offsets[0] as number);
        entry.data_offsets = [begin, (begin += size)];
      }
      const bytes = 4 * shape.reduce<number>((product, size) => product * size, 1);
      header[name] = { ...header[name], shape: [...shape], data_offsets: [begin, begin + bytes] };
      const file = putTogether({ ...one.parts, header, data: Buffer.alloc(0) });
      await writeFile(path, file);
      await truncate(path, file.length + begin + bytes);
      const before = process.memoryUsage().rss;
      await expect(one.engine.loadTask(path)).rejects.toThrow(message);
      expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    }
  });

  it('tensors that no task of the model has', async () => {
    const header = { ...one.parts.header, more: { dtype: 'U8', shape: [0], data_offsets: [0, 0] } };
    const path = join(folder, 'more.safetensors');
    await writeFile(path, putTogether({ ...one.parts, header }));
    await expect(one.engine.loadTask(path)).rejects.toThrow(
      /a tensor "more", which no task of this model has/,
    );
  });

  it('an instruction longer than any task may have is refused when it is compiled, not only when it is loaded', async () => {
    await expect(one.engine.compileTokens(new Int32Array(65_537).fill(5))).rejects.toThrow(
      /65537 tokens, the limit is 65536/,
    );
  });
});

describe('files of earlier versions still open, to the same tokens:', () => {
  it.each(['hint', 'gpt2'])('%s', async (name) => {
    const expected = JSON.parse(await readFile(fixture(`tasks/${name}-expected.json`), 'utf8')) as {
      model: string;
      max_tokens: number;
      inputs: number[][];
      tokens: number[][];
    };
    await using engine = await Engine.open(fixture(expected.model), { threads: 1 });
    using task = await engine.loadTask(fixture(`tasks/${name}-version-2.safetensors`));
    const inputs = expected.inputs.map((ids) => Int32Array.from(ids));
    const made = await task.generate(inputs, { maxTokens: expected.max_tokens });
    expect(made.map(({ tokens }) => [...tokens])).toEqual(expected.tokens);
  });
});
