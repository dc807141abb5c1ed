import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Charsmap } from '../../src/formats/tokenizer/charsmap.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { writeFileAtomic } from '../../src/util/atomic-file.js';

const fixture = new URL('../fixtures/tokenizer/', import.meta.url).pathname;

interface Golden {
  id: number;
  category: string;
  text: string;
  ids: number[];
  ids_sentencepiece?: number[] | null;
  decoded_skip_special: string;
}

let tokenizer: Tokenizer;
let goldens: Golden[];
let folder: string;
beforeAll(async () => {
  tokenizer = await Tokenizer.load(fixture);
  goldens = (JSON.parse(await readFile(join(fixture, 'goldens.json'), 'utf8')) as { cases: Golden[] }).cases;
  folder = await mkdtemp(join(tmpdir(), 'hint-tokenizer-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('encode', () => {
  it('gives the ids of transformers or, where they differ, of SentencePiece, on every golden string', () => {
    expect(goldens.length).toBeGreaterThan(500);
    const wrong = goldens.filter(({ text, ids, ids_sentencepiece }) => {
      const got = String([...tokenizer.encode(text)]);
      return got !== String(ids) && got !== String(ids_sentencepiece);
    });
    expect(wrong.map(({ id, text }) => ({ id, text }))).toEqual([]);
  });

  it('follows SentencePiece on combining marks, where the Rust tokenizers differ', () => {
    const marks = goldens.filter(({ text, ids_sentencepiece }) => ids_sentencepiece && /\p{M}/u.test(text));
    expect(marks.length).toBeGreaterThan(5);
    for (const { text, ids_sentencepiece } of marks)
      expect([...tokenizer.encode(text)]).toEqual(ids_sentencepiece);
  });

  it('gives the same ids from the cache as at first sight', () => {
    for (const { text } of goldens) expect(tokenizer.encode(text)).toEqual(tokenizer.encode(text));
  });

  it('reads an empty or blank text as the end of sequence alone', () => {
    for (const text of ['', ' ', '\n\t \r\n', '\u3000\u00a0'])
      expect([...tokenizer.encode(text)]).toEqual([tokenizer.eosId]);
    expect([...tokenizer.encode('', { addEos: false })]).toEqual([]);
  });

  it('loses the EOS of a text that is cut, and only of such a text', () => {
    const whole = tokenizer.encode('one two three four five');
    expect(whole.at(-1)).toBe(1);
    expect(tokenizer.encode('one two three four five', { maxLength: whole.length })).toEqual(whole);
    const cut = tokenizer.encode('one two three four five', { maxLength: whole.length - 1 });
    expect([...cut]).toEqual([...whole.slice(0, -1)]);
    expect(tokenizer.encode('one', { maxLength: 0 })).toHaveLength(0);
    expect(() => tokenizer.encode('one', { maxLength: -1 })).toThrow(/maxLength is -1/);
  });

  it('does not choke on a million characters without a space, nor on half a surrogate pair', () => {
    expect(tokenizer.encode('ab'.repeat(500_000)).length).toBeGreaterThan(100_000);
    expect([...tokenizer.encode('漢'.repeat(1_000_000))]).toEqual([...tokenizer.encode('漢')]);
    expect(tokenizer.encode('<'.repeat(1_000_000)).length).toBeLessThan(10);
    expect([...tokenizer.encode('\ud83d')]).toEqual([tokenizer.eosId]);
  });

  it('finds special tokens inside words and does not take their like for them', () => {
    expect([...tokenizer.encode('<extra_id_0></s><pad>')]).toEqual([8099, 1, 0, 1]);
    expect([...tokenizer.encode('<extra_id_100>')]).not.toContain(8099);
  });

  it('counts tokens with the EOS', () => {
    for (const { text } of goldens.slice(0, 50))
      expect(tokenizer.tokenLength(text)).toBe(tokenizer.encode(text).length);
  });
});

describe('decode', () => {
  it('gives the text of transformers on every golden string', () => {
    for (const { ids, decoded_skip_special } of goldens)
      expect(tokenizer.decode(ids)).toBe(decoded_skip_special);
  });

  it('keeps special tokens when asked to', () => {
    expect(tokenizer.decode([8099, 1], { skipSpecialTokens: false })).toContain('<extra_id_0>');
  });

  it('reads a prediction up to its first EOS, without sentinels and without rows the tokenizer does not know', () => {
    const words = [...tokenizer.encode('yes it is', { addEos: false })];
    const more = [...tokenizer.encode('no')];
    expect(tokenizer.decodePrediction([...words, 8099, 2, 8100, 8127, -5, 1, ...more])).toBe('yes it is');
    expect(tokenizer.decodePrediction(Int32Array.of(1))).toBe('');
    expect(tokenizer.decodePrediction([])).toBe('');
  });

  it('cleans up the spaces of a prediction as Hugging Face does', () => {
    const tokens = tokenizer.encode("It does n't work , it 's Bob 's : they 've gone .");
    expect(tokenizer.decodePrediction(tokens)).toBe("It doesn't work, it's Bob's : they've gone.");
    // Answers are as transformers 5 decodes them; the tokenizer has no tokenizer_config.json that asks for more.
    expect(tokenizer.decodeAnswer(tokens)).toBe(tokenizer.decode(tokens));
    expect(tokenizer.decodeAnswer(tokens)).not.toBe(tokenizer.decodePrediction(tokens));
  });
});

describe('load', () => {
  it('begins no text with a space where the file is spelled as transformers 5 writes it', async () => {
    const json = JSON.parse(await readFile(join(fixture, 'tokenizer.json'), 'utf8')) as object;
    const metaspace = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always', split: true };
    const pretokenizers = [{ type: 'WhitespaceSplit' }, metaspace];
    const file = join(folder, 'today.json');
    const pre_tokenizer = { type: 'Sequence', pretokenizers };
    await writeFile(file, JSON.stringify({ ...json, pre_tokenizer, decoder: metaspace }));
    const today = await Tokenizer.load(file);
    for (const text of ['Translate this.', 'one  two'])
      expect(today.decode(today.encode(text))).toBe(tokenizer.decode(tokenizer.encode(text)));
    expect(today.decode(today.encode('Translate this.'))).toBe('Translate this.');
  });

  it('takes the folder or the file and names the same content alike', async () => {
    const other = await Tokenizer.load(join(fixture, 'tokenizer.json'));
    expect(other.fingerprint).toBe(tokenizer.fingerprint);
    expect(other.file).toBe(tokenizer.file);
    expect(tokenizer).toMatchObject({ vocabSize: 8100, eosId: 1, padId: 0, unkId: 2 });
  });

  it.each([
    ['a missing file', undefined, 'NOT_FOUND', 'tokenizer.json'],
    ['cut-off JSON', '{"model": {', 'INVALID_JSON', 'not valid JSON'],
    ['another kind of tokenizer', '{"added_tokens": [], "model": {"type": "BPE"}}', 'INVALID_FILE', 'field'],
  ])('says what is wrong with %s', async (_what, text, code, message) => {
    const path = join(folder, code);
    const file = join(path, 'tokenizer.json');
    if (text !== undefined) await writeFileAtomic(file, text);
    const error = await Tokenizer.load(text === undefined ? file : path).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'HintError', code });
    expect((error as Error).message).toContain(message);
  });

  it('refuses a damaged normaliser and missing special tokens instead of giving other ids', async () => {
    const json = JSON.parse(await readFile(join(fixture, 'tokenizer.json'), 'utf8')) as {
      normalizer: { precompiled_charsmap: string };
      added_tokens: { content: string }[];
    };
    const load = async (changed: object): Promise<unknown> => {
      const file = join(folder, 'changed.json');
      await writeFile(file, JSON.stringify(changed));
      return Tokenizer.load(file).catch((error: unknown) => error);
    };
    const normalizer = {
      type: 'Precompiled',
      precompiled_charsmap: json.normalizer.precompiled_charsmap.slice(0, 400),
    };
    expect(await load({ ...json, normalizer })).toMatchObject({ code: 'INVALID_FILE' });
    const added_tokens = json.added_tokens.filter(({ content }) => content !== '</s>');
    expect(await load({ ...json, added_tokens })).toMatchObject({ code: 'INVALID_FILE' });
    expect(
      await load({ ...json, normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }] } }),
    ).toBeInstanceOf(Tokenizer);
  });
});

describe('Charsmap', () => {
  it('normalises as SentencePiece does: longest key first, the rest copied', async () => {
    const json = JSON.parse(await readFile(join(fixture, 'tokenizer.json'), 'utf8')) as {
      normalizer: { precompiled_charsmap: string };
    };
    const charsmap = new Charsmap(json.normalizer.precompiled_charsmap);
    expect(charsmap.normalize('ﬁ ①½ Ａｂ')).toBe('fi 11⁄2 Ab');
    expect(charsmap.normalize('e\u0301')).toBe('é');
    expect(charsmap.normalize('a\u200bb\u2581c')).toBe('a b c');
    expect(charsmap.normalize('～')).toBe('～');
    expect(charsmap.keepsPlainAscii).toBe(true);
    expect(['\n', ' ', 'a', '.'].map((c) => charsmap.isSeparator(c))).toEqual([true, true, false, false]);
  });
});
