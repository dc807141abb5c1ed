import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildBatch, type TokenizedExample } from '../../../src/data/batch.js';
import { streamP3, type P3Options } from '../../../src/data/p3/dataset.js';
import { P3Source, type P3SourceOptions } from '../../../src/data/p3/source.js';
import { unpackExamples } from '../../../src/data/token-cache.js';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';
import { ensureCompiledWorker } from '../compiled-worker.js';

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname;

let tokenizer: Tokenizer;
let folder: string;
let directory: string;

beforeAll(async () => {
  await ensureCompiledWorker();
  tokenizer = await Tokenizer.load(fixture('tokenizer'));
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-p3-'));
  directory = join(folder, 'p3');
  await cp(fixture('p3'), directory, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = (changed: Partial<P3SourceOptions> = {}): P3SourceOptions => ({
  directory,
  split: 'train',
  setting: { form: 'joint', shots: 0 },
  tokenizer,
  threads: 0,
  ...changed,
});
type Row = Record<string, unknown>;
async function edit(name: string, change: (rows: Row[]) => Row[]): Promise<void> {
  const file = join(directory, `${name}.jsonl.gz`);
  const rows = gunzipSync(await readFile(file))
    .toString()
    .trim()
    .split('\n');
  const changed = change(rows.map((line) => JSON.parse(line) as Row));
  await writeFile(file, gzipSync(changed.map((row) => JSON.stringify(row)).join('\n')));
}
async function all(changed: Partial<P3Options> = {}): Promise<TokenizedExample[]> {
  const examples: TokenizedExample[] = [];
  for await (const packed of streamP3({ ...options(), ...changed })) examples.push(...unpackExamples(packed));
  return examples;
}
const text = (ids: Int32Array): string => tokenizer.decode(ids, { skipSpecialTokens: false });
const keyOf = ({ task, input, target, instruction }: TokenizedExample): string =>
  [task, text(instruction), text(input), text(target)].join('|');

describe('streamP3', () => {
  it('feeds the hypernetwork the masked text and the model the whole prompt, EOS on the target only', async () => {
    const examples = await all();
    expect(examples).toHaveLength(32);
    const [first] = examples.filter(({ task }) => task === 'quarel_choose_between');
    expect(text(first!.instruction)).toBe('Choose between "[MASK]" and "[MASK]". Question: [MASK]');
    expect(text(first!.input)).toMatch(/^Choose between "/);
    for (const { instruction, input, target } of examples) {
      expect([instruction.includes(1), input.includes(1)]).toEqual([false, false]);
      expect(target.indexOf(1)).toBe(target.length - 1);
    }
  });

  it('feeds the fields alone in the split form, and leaves out rows that have none', async () => {
    const examples = await all({ setting: { form: 'split', shots: 0 } });
    expect(examples).toHaveLength(31);
    for (const { input, instruction } of examples) {
      expect(text(input)).toMatch(/^\[1\]: /);
      expect(instruction.length).toBeGreaterThan(0);
    }
    const bare = await all({ setting: { form: 'no-prompt', shots: 0 } });
    expect(bare.map(({ input }) => text(input))).toEqual(examples.map(({ input }) => text(input)));
    expect(bare.every(({ instruction }) => instruction.length === 0)).toBe(true);
  });

  it('tokenises the choices for evaluation, the right one among them', async () => {
    const examples = await all({ split: 'eval', withChoices: true, setting: { form: 't0', shots: 0 } });
    const rte = examples.filter(({ task }) => task.startsWith('super_glue_rte'));
    expect(rte).toHaveLength(18);
    for (const { choices, references, target } of rte) {
      const answer = choices!.find((choice) => choice.text === references[0]);
      expect(answer!.ids).toEqual(target);
    }
    expect(examples.filter(({ task }) => task.startsWith('samsum')).every(({ choices }) => !choices)).toBe(
      true,
    );
  });

  it('shows other rows of the template as shots, never the row itself', async () => {
    const setting = { form: 't0', shots: 2 } as const;
    const plain = new Map(
      (await all({ setting: { ...setting, shots: 0 } })).map((one) => [one.id, text(one.input)]),
    );
    for (const { id, input, references } of await all({ setting })) {
      const [shots, query] = text(input).split(' Definition: ') as [string, string];
      expect(query).toBe(plain.get(id));
      expect(shots.match(/ Output: /g)).toHaveLength(2);
      expect(shots).not.toContain(`${query} Output: ${references[0]}`);
    }
    expect(await all({ setting, seed: 1 })).not.toEqual(await all({ setting }));
    expect(await all({ setting })).toEqual(await all({ setting }));
  });

  it('cuts a prompt of any length and reads an empty one as the end of sequence', async () => {
    await edit('train/quarel', ([row]) => [
      {
        ...row,
        prompt: 'word '.repeat(3000),
        instruction: 'word '.repeat(3000),
        target: 'word '.repeat(3000),
      },
      { ...row, prompt: ' ', instruction: '', target: '' },
    ]);
    const [long, empty] = (await all({ datasets: ['quarel'] })) as [TokenizedExample, TokenizedExample];
    expect([long.instruction.length, long.input.length, long.target.length]).toEqual([512, 1024, 256]);
    expect([[...empty.instruction], [...empty.input], empty.references]).toEqual([[1], [1], ['<NO LABEL>']]);
  });

  it.each([
    ['{"dataset": ', 'INVALID_JSON', /quarel.jsonl, line 2/],
    ['{"dataset": "quarel"}', 'INVALID_DATA', /line 2 is not a prompted example: field template/],
    [
      '{"dataset": "quarel", "template": "new", "idx": 0, "prompt": "a", "target": "b"}',
      'INVALID_DATA',
      /line 2 has the template "new" of quarel, which templates.json does not list/,
    ],
  ])('names file and line of %s', async (line, code, message) => {
    await rm(join(directory, 'train/quarel.jsonl.gz'));
    await writeFile(join(directory, 'train/quarel.jsonl'), `\n${line}\n`);
    for (const threads of [0, 1]) {
      const error = await all({ threads }).catch((e: unknown) => e);
      expect(error).toMatchObject({ name: 'HintError', code });
      expect((error as Error).message).toMatch(message);
    }
  });

  it.each([
    [{ directory: '/nowhere' }, 'NOT_FOUND', /no P3 directory/],
    [{ datasets: ['imdb'] }, 'NOT_FOUND', /there are quarel, app_reviews/],
    [{ split: 'extra' }, 'INVALID_DATA', /names no extra dataset/],
    [{ maxInputTokens: 0 }, 'INVALID_ARGUMENT', /maxInputTokens is 0/],
    [{ seed: -1 }, 'INVALID_ARGUMENT', /seed is -1/],
    [{ signal: AbortSignal.abort() }, 'ABORTED', /aborted/],
  ])('refuses %j', async (changed, code, message) => {
    const error = await all(changed as Partial<P3Options>).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'HintError', code });
    expect((error as Error).message).toMatch(message);
  });

  it('does not train on half a file', async () => {
    await truncate(join(directory, 'train/quarel.jsonl.gz'), 700);
    await expect(all()).rejects.toMatchObject({ code: 'INVALID_DATA' });
    await rm(join(directory, 'train/quarel.jsonl.gz'));
    await expect(all()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('P3Source', () => {
  it('draws the same from memory, from a cold cache and from a warm one, with threads and without', async () => {
    const cacheDirectory = join(folder, 'cache');
    const memory = await P3Source.open(options());
    const expected = (await memory.next(100)).map(keyOf);
    for (const changed of [{ cacheDirectory }, { cacheDirectory }, { threads: 2 }]) {
      const source = await P3Source.open(options(changed));
      expect(source.fingerprint).toBe(memory.fingerprint);
      expect(source.size).toBe(32);
      expect((await source.next(100)).map(keyOf)).toEqual(expected);
    }
    expect(new Set(expected).size).toBe(32);
    expect(await readdir(cacheDirectory)).toHaveLength(2);
  });

  it('keeps few-shot instructions on disk too', async () => {
    const setting = { form: 'joint', shots: 4 } as const;
    const memory = await P3Source.open(options({ setting }));
    const disk = await P3Source.open(options({ setting, cacheDirectory: join(folder, 'cache') }));
    expect(await disk.next(64)).toEqual(await memory.next(64));
  });

  it('goes on from a state, and gives batches that can be built', async () => {
    const source = await P3Source.open(options());
    await source.next(37);
    const state = JSON.parse(JSON.stringify(source.state)) as unknown;
    const expected = (await source.next(20)).map(keyOf);
    const resumed = await P3Source.open(options());
    resumed.restore(state);
    const drawn = await resumed.next(20);
    expect(drawn.map(keyOf)).toEqual(expected);
    expect(buildBatch(drawn).instructions.offsets.length - 1).toBeLessThanOrEqual(4);
    expect(() => resumed.restore({ epoch: 0, position: 3 })).toThrow(/resume with the kind of data/);
  });

  it('is another source under another form, cap, mixture or content', async () => {
    const print = async (changed: Partial<P3SourceOptions> = {}): Promise<string> =>
      (await P3Source.open(options(changed))).fingerprint;
    const plain = await print();
    expect(await print({ setting: { form: 't0', shots: 0 } })).not.toBe(plain);
    expect(await print({ mixture: 'published' })).not.toBe(plain);
    expect(await print({ cap: 7 })).not.toBe(plain);
    await edit('train/quarel', (rows) => rows.slice(1));
    expect(await print()).not.toBe(plain);
  });

  it('holds no more rows of a capped template than its share, a random choice', async () => {
    await edit('train/quarel', ([row]) =>
      Array.from({ length: 400 }, (_, idx) => ({ ...row, idx, prompt: `number ${idx}` })),
    );
    const file = join(directory, 'templates.json');
    const templates = JSON.parse(await readFile(file, 'utf8')) as { dataset: string; rows: number }[];
    for (const template of templates) if (template.dataset === 'quarel') template.rows = 400;
    await writeFile(file, JSON.stringify(templates));
    // Two templates share the cap; the rows are all of one.
    const source = await P3Source.open(options({ datasets: ['quarel'], cap: 200 }));
    expect(source.size).toBeGreaterThan(70);
    expect(source.size).toBeLessThan(130);
    const kept = (await source.next(source.size)).map(({ input }) => Number(text(input).slice(7)));
    expect(Math.max(...kept)).toBeGreaterThan(300);
    expect(Math.min(...kept)).toBeLessThan(100);
  });

  it('refuses data of which the form can show nothing', async () => {
    await edit('train/quarel', (rows) => rows.map((row) => ({ ...row, fields: undefined })));
    const setting = { form: 'split', shots: 0 } as const;
    await expect(P3Source.open(options({ datasets: ['quarel'], setting }))).rejects.toMatchObject({
      code: 'INVALID_DATA',
    });
  });

  it('says so when the cache is taken away under a run', async () => {
    const cacheDirectory = join(folder, 'cache');
    const source = await P3Source.open(options({ cacheDirectory }));
    await rm(cacheDirectory, { recursive: true });
    await expect(source.next(1)).rejects.toMatchObject({ code: 'IO' });
  });
});
