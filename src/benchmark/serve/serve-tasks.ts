import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { uniforms } from '../random-model.js';

/** Each is one token of the demo's vocabulary. */
const WORDS = ['the', 'colour', 'of', 'fruit', 'in', 'list', 'and', 'count', 'them', 'a', '1', '2'];

/** The lengths of a load's requests. */
export interface RequestLengths {
  readonly instruction: number;
  readonly input: number;
  readonly output: number;
}

/** A text of words that are drawn until the model reads it as so many tokens, or one short of what no word fills. */
export function drawText(uniform: () => number, tokens: number, count: (text: string) => number): string {
  const words: string[] = [];
  const draw = (): string => WORDS[Math.floor(uniform() * WORDS.length)]!;
  // What stands around the words is counted once.
  const around = count('the') - 1;
  while (words.length < Math.max(1, tokens - around)) words.push(draw());
  while (words.length > 1 && count(words.join(' ')) > tokens) words.pop();
  return words.join(' ');
}

/** Definitions of so many tokens, all different. */
export function drawDefinitions(tokenizer: Tokenizer, tasks: number, tokens: number, seed: number): string[] {
  const uniform = uniforms(seed);
  return Array.from({ length: tasks }, () =>
    drawText(uniform, tokens, (text) => tokenizer.tokenLength(text)),
  );
}

/** Ranks of tasks from 0, drawn with a probability of 1 / (rank + 1): Zipf's law. */
export function zipfRanks(uniform: () => number, ranks: number, count: number): number[] {
  const weights = Array.from({ length: ranks }, (_, rank) => 1 / (rank + 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Array.from({ length: count }, () => {
    let rest = uniform() * total;
    const found = weights.findIndex((weight) => (rest -= weight) < 0);
    return found < 0 ? ranks - 1 : found;
  });
}
