import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findTokenizerFile, writeTokenizerJson } from '../../../src/formats/tokenizer/files.js';
import { Tokenizer } from '../../../src/formats/tokenizer/tokenizer.js';

const FIXTURES = join(import.meta.dirname, '../../fixtures/tokenizers');
const PIECES = join(FIXTURES, 'sentencepiece');
const GPT2 = join(FIXTURES, 'gpt2-files');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-tokenizer-files-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function emptyFolder(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  return path;
}

const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));
const fault = (path: string): Promise<unknown> => Tokenizer.load(path).catch((error: unknown) => error);

describe('a spiece.model alone', () => {
  it.each([
    ['spiece.model', 'expected.json'],
    ['identity.model', 'expected-identity.json'],
  ])('gives the ids of SentencePiece: %s', async (model, answers) => {
    const tokenizer = await Tokenizer.load(join(PIECES, model));
    for (const { text, ids } of (await json(join(PIECES, answers))) as { text: string; ids: number[] }[]) {
      expect([...tokenizer.encode(text, { addEos: false })], text).toEqual(ids);
      expect([...tokenizer.encode(text)], text).toEqual([...ids, 1]);
    }
  });

  it('has the hundred sentinels of T5 behind its pieces, the first of them last', async () => {
    const tokenizer = await Tokenizer.load(join(PIECES, 'spiece.model'));
    expect(tokenizer).toMatchObject({ eosId: 1, padId: 0, unkId: 2, vocabSize: 269 });
    const sentinels = tokenizer.encode('<extra_id_0> <extra_id_99>', { addEos: false });
    expect([...sentinels]).toEqual([268, 169]);
    expect(tokenizer.decode(tokenizer.encode('Translate this.'))).toBe('Translate this.');
  });

  it('has as many sentinels as the tokenizer_config.json beside it says', async () => {
    const path = await emptyFolder('sentinels');
    await cp(join(PIECES, 'spiece.model'), join(path, 'spiece.model'));
    await writeFile(join(path, 'tokenizer_config.json'), '{"extra_ids": 0}');
    expect((await Tokenizer.load(path)).vocabSize).toBe(169);
    await writeFile(join(path, 'tokenizer_config.json'), '{"extra_ids": 1e9}');
    expect(await fault(path)).toMatchObject({ code: 'INVALID_FILE' });
  });

  it.each([
    ['bpe.model', /type BPE/],
    ['byte-fallback.model', /byte fallback/],
    ['no-dummy-prefix.model', /add_dummy_prefix/],
  ])('of a kind that there is not here is refused by its name: %s', async (model, message) => {
    expect(await fault(join(PIECES, model))).toMatchObject({ code: 'INVALID_FILE', message: expect.stringMatching(message) as string }); // prettier-ignore
  });

  it('whose pieces have spaces inside, as no word of ours has, is refused with such a piece', async () => {
    const path = await emptyFolder('spaces');
    const bytes = await readFile(join(PIECES, 'spiece.model'));
    const message = (number: number, ...parts: Uint8Array[]): Buffer => {
      const body = Buffer.concat(parts);
      return Buffer.concat([Buffer.of((number << 3) | 2, body.length), body]);
    };
    // Field 3 of a piece is its kind, of which 4 is a user's own; field 22 of the trainer is split_by_whitespace.
    const piece = (text: string, kind: number): Buffer => message(1, message(1, Buffer.from(text)), Buffer.of(0x18, kind));
    const acrossSpaces = message(2, Buffer.of(0xb0, 0x01, 0));
    const load = async (...more: Buffer[]): Promise<unknown> => {
      await writeFile(join(path, 'spiece.model'), Buffer.concat([bytes, ...more]));
      return fault(path);
    };
    expect(await load(piece('of▁the', 1), acrossSpaces)).toMatchObject({ message: expect.stringMatching(/"of▁the" \(split_by_whitespace/) as string });
    expect(await load(piece('▁own', 4))).toMatchObject({ message: expect.stringMatching(/user-defined piece "▁own"/) as string });
    expect(await load(piece('▁the', 1), piece('own', 4), acrossSpaces)).toBeInstanceOf(Tokenizer);
  }); // prettier-ignore

  it('that is cut off or something else is refused at every length', async () => {
    const bytes = await readFile(join(PIECES, 'spiece.model'));
    const file = join(await emptyFolder('cut'), 'spiece.model');
    for (const length of [0, 1, 2, 5, 100, 1000, bytes.length - 1]) {
      await writeFile(file, bytes.subarray(0, length));
      expect(await fault(file)).toMatchObject({ name: 'HintError', code: 'INVALID_FILE' });
    }
    for (const other of ['version https://git-lfs.github.com/spec/v1\n', '<!doctype html>', '\x80\x02}q']) {
      await writeFile(file, other, 'latin1');
      expect(await fault(file)).toMatchObject({ name: 'HintError', code: 'INVALID_FILE' });
    }
  });
});

describe('vocab.json and merges.txt alone', () => {
  it('give the ids of the tokenizers package, with the special tokens that the files beside them name', async () => {
    const tokenizer = await Tokenizer.load(GPT2);
    const lines = (await readFile(join(GPT2, 'expected.jsonl'), 'utf8')).trim().split('\n');
    for (const line of lines) {
      const { text, ids, special, decoded } = JSON.parse(line) as { text: string; ids: number[]; special: number[]; decoded: string }; // prettier-ignore
      expect([...tokenizer.encode(text, { addEos: false })], text).toEqual(ids);
      expect([...tokenizer.encode(text, { addSpecialTokens: true })], text).toEqual(special);
      expect(tokenizer.decode(special), text).toBe(decoded);
    }
    expect(tokenizer).toMatchObject({ eosId: 2, padId: 1 });
  });

  it('need one another, and are told apart from those of other models', async () => {
    const path = await emptyFolder('vocabulary');
    await cp(join(GPT2, 'vocab.json'), join(path, 'vocab.json'));
    expect(await fault(path)).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('merges.txt') as string }); // prettier-ignore
    await writeFile(join(path, 'merges.txt'), '#version: 0.2\na b c\n');
    expect(await fault(path)).toMatchObject({ code: 'INVALID_FILE', message: expect.stringContaining('"a b c"') as string }); // prettier-ignore
    await cp(join(GPT2, 'merges.txt'), join(path, 'merges.txt'));
    await writeFile(join(path, 'tokenizer_config.json'), '{"tokenizer_class": "CLIPTokenizer"}');
    expect(await fault(path)).toMatchObject({ code: 'INVALID_FILE', message: expect.stringContaining('CLIPTokenizer') as string }); // prettier-ignore
  });
});

describe('a folder', () => {
  it('without a tokenizer says which files would be one', async () => {
    const path = await emptyFolder('empty');
    expect(await findTokenizerFile(path)).toBeUndefined();
    expect(await fault(path)).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/tokenizer\.json.*spiece\.model.*vocab\.json/) as string }); // prettier-ignore
  });

  it.each([
    ['spiece.model', join(PIECES, 'spiece.model')],
    ['vocab.json', GPT2],
    ['tokenizer.json', join(FIXTURES, 'shapes/transformers-5')],
  ])('whose tokenizer is converted from %s keeps ids and fingerprint', async (name, source) => {
    const target = join(await emptyFolder('converted'), 'tokenizer.json');
    expect(await writeTokenizerJson(source, target)).toContain(name);
    const [before, after] = await Promise.all([Tokenizer.load(source), Tokenizer.load(target)]);
    expect(after.fingerprint).toBe(before.fingerprint);
    const text = 'the quick  brown <mask> ﬁne\t½ <extra_id_3>';
    expect(after.encode(text, { addSpecialTokens: true })).toEqual(
      before.encode(text, { addSpecialTokens: true }),
    );
  });
});
