import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';

const SHAPES = join(import.meta.dirname, '../../fixtures/tokenizers/shapes');

interface Case {
  text: string;
  ids: number[];
  special: number[];
  decoded: string;
  decodedAll: string;
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-shapes-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a tokenizer.json means what it means to the tokenizers package', () => {
  it.each(readdirSync(SHAPES))('in the shape %s', async (shape) => {
    const tokenizer = await Tokenizer.load(join(SHAPES, shape));
    const lines = readFileSync(join(SHAPES, shape, 'expected.jsonl'), 'utf8')
      .trim()
      .split('\n');
    expect(lines.length).toBeGreaterThan(50);
    for (const line of lines) {
      const { text, ids, special, decoded, decodedAll } = JSON.parse(line) as Case;
      expect([...tokenizer.encode(text, { addEos: false })], text).toEqual(ids);
      expect([...tokenizer.encode(text, { addSpecialTokens: true })], text).toEqual(special);
      expect(tokenizer.decode(special), text).toBe(decoded);
      expect(tokenizer.decode(special, { skipSpecialTokens: false }), text).toBe(decodedAll);
    }
  });

  it('whatever stands in front of a word when it is met again', async () => {
    const tokenizer = await Tokenizer.load(join(SHAPES, 'metaspace-first'));
    const fresh = await Tokenizer.load(join(SHAPES, 'metaspace-first'));
    const text = 'fox </s>fox  fox';
    tokenizer.encode('fox fox');
    expect(tokenizer.encode(text)).toEqual(fresh.encode(text));
  });

  it('also for texts with halves of surrogate pairs, which are read as U+FFFD', async () => {
    const tokenizer = await Tokenizer.load(join(SHAPES, 'bpe-gpt2'));
    expect(tokenizer.encode('a\ud83db\udc00')).toEqual(tokenizer.encode('a\ufffdb\ufffd'));
    expect(tokenizer.decode(tokenizer.encode('a\ud83db', { addEos: false }))).toBe('a\ufffdb');
  });
});

describe('a tokenizer.json with what there is not here', () => {
  async function load(
    change: (json: Record<string, unknown>) => object,
    shape = 'bpe-gpt2',
  ): Promise<unknown> {
    const json = JSON.parse(await readFile(join(SHAPES, shape, 'tokenizer.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    const file = join(folder, 'tokenizer.json');
    await writeFile(file, JSON.stringify({ ...json, ...change(json) }));
    return Tokenizer.load(file).catch((error: unknown) => error);
  }
  const split = (Regex: string): object => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false,
  });

  it.each<[string, (json: Record<string, unknown>) => object, RegExp]>([
    ['a normalizer', () => ({ normalizer: { type: 'Transliterate' } }), /"Transliterate" in its normalizer/],
    [
      'a part of a sequence',
      () => ({ pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'UnicodeScripts' }] } }),
      /"UnicodeScripts" in its pre_tokenizer/,
    ],
    ['a decoder', () => ({ decoder: { type: 'Upper' } }), /"Upper" in its decoder/],
    ['a post-processor', () => ({ post_processor: { type: 'Other' } }), /"Other" in its post_processor/],
    ['a model', () => ({ model: { type: 'Lattice' } }), /model\.type is "Lattice"/],
    [
      'a field of the wrong type',
      () => ({ pre_tokenizer: { type: 'Digits', individual_digits: 'yes' } }),
      /pre_tokenizer\.Digits\.individual_digits/,
    ],
    ['a back-reference', () => ({ pre_tokenizer: split('(a)\\1') }), /refers back to a group.*"\(a\)/],
    ['an expression that is none', () => ({ pre_tokenizer: split('(a') }), /group that does not end/],
    ['dropout', (json) => ({ model: { ...(json.model as object), dropout: 0.1 } }), /dropout of 0\.1/],
    [
      'a merge of unknown pieces',
      (json) => ({ model: { ...(json.model as object), merges: ['zzzz q'] } }),
      /the merge "zzzz q"/,
    ],
    ['an id that is none', () => ({ added_tokens: [{ id: 2 ** 31, content: 'x' }] }), /added_tokens\.0\.id/],
    ['another version', () => ({ version: '2.0' }), /field version/],
  ])('says so by the name of the part: %s', async (_, change, message) => {
    expect(await load(change)).toMatchObject({ name: 'HintError', code: 'INVALID_FILE', message: expect.stringMatching(message) as string }); // prettier-ignore
  });

  it('has a sentence for a text that it has no piece for', async () => {
    const read = (await load(
      (json) => ({ model: { ...(json.model as object), unk_id: null } }),
      'metaspace-never',
    )) as Tokenizer;
    expect(() => read.encode('\u{10fffd}')).toThrow(
      /no piece for "\u{10fffd}" and none for what is unknown/u,
    );
  });
});
