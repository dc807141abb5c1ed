import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateDemoDataset } from '../../src/demo/dataset.js';
import { generatePretrainingPairs } from '../../src/demo/pretraining.js';
import { buildDemoTokenizer, demoWords } from '../../src/demo/tokenizer.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';

let tokenizer: Tokenizer;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-demo-tokenizer-'));
  const file = join(folder, 'tokenizer.json');
  await writeFile(file, JSON.stringify(buildDemoTokenizer().tokenizer));
  tokenizer = await Tokenizer.load(file);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const { train, test } = generateDemoDataset({ seed: 3, trainInstances: 1, testInstances: 2 });

/** One piece a word and one a punctuation mark, then `</s>`. */
function expectedLength(text: string): number {
  return (text.match(/[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]/g) ?? []).length + 1;
}

describe('demo tokenizer', () => {
  it('gives every word of definitions, inputs, outputs and baseline prompts one id', () => {
    const texts = [...train, ...test].flatMap((task) => [
      task.Definition[0] ?? '',
      ...task.Instances.flatMap(({ input, output }) => [
        input,
        ...output,
        `Definition: ${task.Definition[0]}\n\nNow complete the following example -\nInput: ${input}\nOutput:`,
      ]),
    ]);
    const spelledOut = [...new Set(texts)].filter((text) => {
      const ids = tokenizer.encode(text);
      return ids.length !== expectedLength(text) || ids.includes(2) || ids.at(-1) !== 1;
    });
    expect(spelledOut).toEqual([]);
  });

  it('gives every word of the pretraining text one id', () => {
    for (const { input, target } of generatePretrainingPairs({ seed: 3, documents: 500 })) {
      expect(tokenizer.encode(input).length, input).toBe(expectedLength(input));
      expect(tokenizer.encode(target).length, target).toBe(expectedLength(target));
    }
  });

  it('reads any other text letter by letter and gives it back', () => {
    const text = 'Zebra (quietly) said: "7th!"';
    const ids = tokenizer.encode(text);
    expect(ids.includes(2)).toBe(false);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('is the same every time and has the special ids of T5', () => {
    expect(buildDemoTokenizer()).toEqual(buildDemoTokenizer());
    const { vocab } = buildDemoTokenizer().tokenizer.model as { vocab: [string, number][] };
    expect(vocab.slice(0, 3).map(([piece]) => piece)).toEqual(['<pad>', '</s>', '<unk>']);
    expect(new Set(vocab.map(([piece]) => piece)).size).toBe(vocab.length);
    expect(demoWords().length).toBeLessThan(900);
  });
});
