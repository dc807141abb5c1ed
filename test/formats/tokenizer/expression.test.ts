import { describe, expect, it } from 'vitest';
import { Expression } from '../../../src/formats/tokenizer/expression/expression.js';

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

function found(expression: string, text: string): string[] {
  const matches = new Expression(expression, 'It').matches(text);
  const texts: string[] = [];
  for (let i = 0; i < matches.length; i += 2) texts.push(text.slice(matches[i], matches[i + 1]));
  return texts;
}

describe('an expression finds what Oniguruma finds', () => {
  it.each<[string, string, string[]]>([
    [GPT2, "I've  12 cats…\n", ['I', "'ve", ' ', ' 12', ' cats', '…', '\n']],
    ['(a|ab)(c|bcd)?', 'abcd', ['abcd']],
    ['a*', 'baac', ['', 'aa', '']],
    ['a+?b?', 'aab', ['a', 'ab']],
    ['a++a', 'aaaa', []],
    ['x{2}', 'xxxxx', ['xx', 'xx']],
    ['x{,2}y', 'xxxy', ['xxy']],
    ['^.', 'ab\ncd\n', ['a', 'c']],
    ['.$', 'ab\ncd', ['b', 'd']],
    ['\\A.|\\z', 'ab', ['a', '']],
    ['(?m:a.)', 'a\na', ['a\n']],
    ['(?i)straSSe|ſ', 'STRASSE s', ['STRASSE', 's']],
    ['a(?i)b|c', 'aB C aC', ['aB', 'aC']],
    ['(?<=[a-z])(?=[A-Z])', 'aBcD', ['', '']],
    ['(?<!a)b', 'ab bb', ['b', 'b']],
    ['[^a-z&&[^\\s]]+', 'ab C1 d', [' C1 ']],
    ['(?i:[\\w&&[^a]])', 'aAb!', ['a', 'A', 'b']],
    ['(?i:[^a])|(?i:\\p{Lu})', 'aAbB', ['A', 'b', 'B']],
    ['[]a]+', 'a]b', ['a]']],
    ['[a\\-z-]+', 'a-zb', ['a-z']],
    ['[[:punct:]]+', 'a+!b', ['+!']],
    ['\\w+', 'a²', ['a²']],
    ['[\\w]+', 'a²', ['a']],
    ['\\b', 'a b', ['', '', '', '']],
    ['\\h+', 'xFFg', ['FF']],
    ['\\s', '\u0085\ufeff', ['\u0085']],
    ['\\p{Han}|\\p{^L}', '漢a1', ['漢', '1']],
    ['\\x{1F600}|\\u00e9|\\x41', '😀éA', ['😀', 'é', 'A']],
    ['(?<word>.)', '😀', ['😀']],
    ['', 'ab', ['', '', '']],
  ])('%s', (expression, text, matches) => {
    expect(found(expression, text)).toEqual(matches);
  });

  it.each([
    ['(a)\\1', /refers back/],
    ['(?>a)', /atomic group/],
    ['a(?=b*)', /without an end/],
    ['(?<=a|bc)d', /several lengths/],
    ['(a*)*b', /may be empty/],
    ['(a', /does not end/],
    ['a)', /bracket too many/],
    ['*a', /repeats nothing/],
    ['[z-a]', /range/],
    ['[a', /class that does not end/],
    ['\\p{Nonsense}', /property/],
    ['\\X', /\\\\X/],
    ['(?x)a', /option x/],
    ['(?:a{1000}){1000}', /too long/],
    ['('.repeat(100), /levels/],
    ['a{3,2}', /interval/],
    ['a\\', /ends with/],
  ])('or is refused by name: %s', (expression, message) => {
    expect(() => new Expression(expression, 'It')).toThrow(message);
  });

  it('in time linear in the text, whatever the expression', () => {
    const text = 'a'.repeat(20_000);
    for (const expression of ['(a+)+$', '(a|a)*b', 'a*b|a', '(a?){50}a{50}b'])
      expect(new Expression(expression, 'It').matches(`${text}!`).length).toBeLessThanOrEqual(40_000);
  });
});
