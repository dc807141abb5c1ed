import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const fixtures = join(root, 'test/fixtures/tokenizers');

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** `hint tokenize ...parameters` with `input` as its standard input. */
function tokenize(input: string, ...parameters: string[]): Promise<Outcome> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [join(root, 'dist/bundle/cli/main.js'), 'tokenize', ...parameters]);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', fail).on('close', (code) => done({ code, stdout, stderr }));
    child.stdin.end(input);
  });
}

describe('hint tokenize', () => {
  it('answers each line by a line, and reads its own answers', async () => {
    const model = join(fixtures, 'gpt2-files');
    const texts = ['the quick fox', '', ' two\nlines \u2028', 'a <mask> b</s>'];
    const input = texts.map((text) => `${JSON.stringify(text)}\n`).join('');
    const ids = await tokenize(input, model);
    expect(ids).toMatchObject({ code: 0, stderr: '' });
    const lines = ids.stdout.trim().split('\n');
    expect(lines).toHaveLength(texts.length);
    for (const line of lines) expect((JSON.parse(line) as number[])[0]).toBe(2);
    const back = await tokenize(ids.stdout, model, '--decode');
    expect(back.stdout.trim().split('\n').map((line) => JSON.parse(line) as string)).toEqual(texts.map((text) => `</s>${text}`)); // prettier-ignore
    const bare = await tokenize(ids.stdout, model, '--decode', '--no-special');
    expect(JSON.parse(bare.stdout.split('\n')[0]!)).toBe(texts[0]);
  });

  it('gives no special tokens where none are asked for, with any file that holds a tokenizer', async () => {
    const file = join(fixtures, 'sentencepiece/spiece.model');
    const { stdout } = await tokenize('"the fox"\n', file, '--no-special');
    const whole = await tokenize('"the fox"\n', file);
    expect([...(JSON.parse(stdout) as number[]), 1]).toEqual(JSON.parse(whole.stdout));
  });

  it.each<[string, string, string[], RegExp]>([
    ['a line that is no text', '"a"\n[1]\n', [], /line 2 is "\[1\]"; it must be a JSON string/],
    ['a line that is no JSON', 'words\n', [], /line 1 is "words"; it must be a JSON string/],
    ['ids that are none', '[1, -1]\n', ['--decode'], /line 1 is "\[1, -1\]"; it must be a JSON array/],
    ['ids that are too large', '[2147483648]\n', ['--decode'], /must be a JSON array of token ids/],
  ])('has a sentence for %s', async (_, input, options, message) => {
    const { code, stderr } = await tokenize(input, join(fixtures, 'shapes/bpe-gpt2'), ...options);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });

  it('has a sentence for what is no tokenizer', async () => {
    const { code, stderr } = await tokenize('', join(fixtures, 'sentencepiece/bpe.model'));
    expect(stderr).toMatch(/SentencePiece model of type BPE, which is not supported/);
    expect(code).toBe(1);
  });
});
