import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  causalInput,
  causalInstruction,
  tkInstructPrompt,
} from '../../src/data/natural-instructions/prompts.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';

const FOLDER = join(import.meta.dirname, '..', 'fixtures', 'bpe-tokenizer');
const goldens = JSON.parse(readFileSync(join(FOLDER, 'goldens.json'), 'utf8')) as {
  text: string;
  ids: number[];
}[];
const tokenizer = await Tokenizer.load(FOLDER);

describe("GPT-2's byte-level BPE", () => {
  it.each(goldens)('gives the ids of Hugging Face, and the text back: $text', ({ text, ids }) => {
    expect([...tokenizer.encode(text, { addEos: false })]).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('ends a sequence with its own last token, and a prediction at it', () => {
    expect(tokenizer.encode('green').at(-1)).toBe(tokenizer.eosId);
    expect(tokenizer.eosId).toBe(0);
    expect(tokenizer.decodePrediction([...tokenizer.encode('green'), 77, 78])).toBe('green');
  });

  it('turns the two parts of a prompt into the tokens of the whole', () => {
    const task = {
      definition: 'Name the colour',
      positiveExamples: [{ input: 'a red hat', output: 'red' }],
    };
    for (const positives of [0, 1]) {
      const instruction = causalInstruction(task, positives, (text) => tokenizer.tokenLength(text));
      const input = causalInput('cat green salad');
      expect(instruction + input).toBe(tkInstructPrompt(task, positives, 'cat green salad', tokenizer));
      const parts = [instruction, input].flatMap((text) => [...tokenizer.encode(text, { addEos: false })]);
      expect(parts).toEqual([...tokenizer.encode(instruction + input, { addEos: false })]);
    }
  });
});
