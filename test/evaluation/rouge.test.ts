import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isExactMatch, normalizeAnswer } from '../../src/evaluation/exact-match.js';
import { gpt2Pieces } from '../../src/evaluation/gpt2-pieces.js';
import { rougeLF1, rougeTokens } from '../../src/evaluation/rouge.js';
import { stem } from '../../src/evaluation/stemmer.js';
import { limits, setLimits } from '../../src/util/limits.js';

function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/rouge/${name}`, import.meta.url), 'utf8')) as T;
}

describe('the stemmer', () => {
  it('gives NLTK’s stem for every word of a list that reaches all its rules', () => {
    const words = fixture<{ pairs: string }>('stems.json').pairs.split(' ');
    const wrong: string[] = [];
    for (let i = 0; i < words.length; i += 2) {
      const [word, expected] = [words[i]!, words[i + 1]!];
      if (stem(word) !== expected) wrong.push(`${word}: ${stem(word)}, not ${expected}`);
    }
    expect(words.length).toBeGreaterThan(10_000);
    expect(wrong).toEqual([]);
  });

  it.each([
    ['ponies', 'poni'],
    ['ties', 'tie'],
    ['agreed', 'agre'],
    ['hopping', 'hop'],
    ['filing', 'file'],
    ['happy', 'happi'],
    ['relational', 'relat'],
    ['differently', 'differ'],
    ['fully', 'fulli'],
    ['sensibility', 'sensibl'],
    ['geology', 'geolog'],
    ['electricity', 'electr'],
    ['replacement', 'replac'],
    ['adoption', 'adopt'],
    ['cease', 'ceas'],
    ['controlling', 'control'],
    ['generously', 'gener'],
    ['skies', 'sky'],
    ['enjoy', 'enjoy'],
    ['as', 'as'],
  ])('stems %s to %s', (word, expected) => {
    expect(stem(word)).toBe(expected);
  });

  it('does not slow down on a run of y, which alternates between vowel and consonant', () => {
    expect(stem('y'.repeat(100_000))).toHaveLength(100_000);
  });
});

describe('ROUGE-L', () => {
  it.each([
    ['The quick brown fox jumps over the lazy dog', 'The quick brown dog jumps on the log.', 0.588235],
    ["don't do it", 'do not do it', 0.5],
    ['positive', 'Positive sentiment', 0.666667],
  ])('scores %j against %j as rouge_score does', (prediction, reference, expected) => {
    expect(rougeLF1(prediction, [reference])).toBeCloseTo(expected, 6);
  });

  it('equals an independent implementation with NLTK’s stemmer to the last bit, exact match too', () => {
    const { cases } = fixture<{ cases: [string, string[], number, number][] }>('scores.json');
    const wrong = cases.filter(
      ([prediction, references, rouge, exact]) =>
        rougeLF1(prediction, references) !== rouge || Number(isExactMatch(prediction, references)) !== exact,
    );
    expect(cases.length).toBeGreaterThan(400);
    expect(wrong).toEqual([]);
  });

  it('takes the best reference, not the first and not the mean', () => {
    expect(rougeLF1('red', ['blue', 'red', 'green'])).toBe(1);
  });

  it('is 0, not NaN, when a side has no words', () => {
    expect(rougeLF1('', ['a'])).toBe(0);
    expect(rougeLF1('?!', ['a'])).toBe(0);
    expect(rougeLF1('a', ['', '...'])).toBe(0);
    expect(rougeLF1('a', [])).toBe(0);
  });

  it('splits words at letters outside a–z and leaves words of three letters unstemmed', () => {
    expect(rougeTokens('Café news was 2nd-rated')).toEqual(['caf', 'news', 'was', '2nd', 'rate']);
    expect(rougeTokens('日本語')).toEqual([]);
  });
});

describe('exact match', () => {
  it('ignores case, ASCII punctuation and spacing, and nothing else', () => {
    expect(normalizeAnswer(' Yes,\tit\u00a0IS! ')).toBe('yes it is');
    expect(isExactMatch('U.S.A.', ['usa'])).toBe(true);
    expect(isExactMatch('“usa”', ['usa'])).toBe(false);
    expect(isExactMatch('the cat', ['cat'])).toBe(false);
    expect(isExactMatch('cats', ['cat'])).toBe(false);
  });

  it('accepts any of the references', () => {
    expect(isExactMatch('b', ['a', 'B.'])).toBe(true);
    expect(isExactMatch('c', ['a', 'B.'])).toBe(false);
  });
});

describe('the xlingual track', () => {
  interface Case {
    prediction: string;
    reference: string;
    rougeL: number;
    pieces: [number, number];
  }

  it('has the pieces and the scores of GPT-2’s tokenizer in Python, in all scripts and kinds of white space', () => {
    const cases = fixture<Case[]>('xlingual.json');
    expect(cases.length).toBeGreaterThan(30);
    for (const { prediction, reference, rougeL: score, pieces } of cases) {
      const shown = JSON.stringify([prediction, reference]);
      expect([gpt2Pieces(prediction).length, gpt2Pieces(reference).length], shown).toEqual(pieces);
      expect(rougeLF1(prediction, [reference], 'xlingual'), shown).toBe(score);
    }
  });

  it('finds the same word with and without a space in front, and keeps each piece of spaces as an empty one', () => {
    expect(gpt2Pieces('cat cat')).toEqual(['cat', 'cat']);
    expect(gpt2Pieces('   cat')).toEqual(['', '', 'cat']);
    expect(gpt2Pieces('')).toEqual([]);
  });

  it('takes identical answers in Thai for equal, which have no word of the default track', () => {
    const thai = 'สวัสดีครับ';
    expect(rougeLF1(thai, [thai])).toBe(0);
    expect(rougeLF1(thai, [thai], 'xlingual')).toBe(1);
    expect(() => rougeLF1('a', ['a'], 'english' as 'default')).toThrow(/default/);
  });

  it('ends a word of a million letters with a sentence where it takes longer than a record may', () => {
    const before = limits().seconds;
    setLimits({ seconds: 0.01 });
    try {
      const word = Array.from({ length: 1_000_000 }, (_, i) =>
        String.fromCharCode(97 + ((i * 7919) % 26)),
      ).join('');
      expect(() => gpt2Pieces(word)).toThrow(/1000000 characters was not read/);
    } finally {
      setLimits({ seconds: before });
    }
  });
});
