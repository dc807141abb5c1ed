import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findCitations, headingsOf, lawsOf, root, textFiles } from './citations.js';

const page = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8');
const headings = headingsOf(page('method.md'));
const laws = lawsOf(page('architecture.md'));

function wrongIn(text: string, own = false): string[] {
  return findCitations(text, { headings, laws, own }).map(({ problem }) => problem);
}

describe('citations', () => {
  it('every citation of the method, the paper or a law has the one form and leads somewhere', () => {
    const wrong = textFiles().flatMap(({ name, text }) =>
      findCitations(text, { headings, laws, own: name === 'docs/method.md' }).map(
        ({ line, problem }) => `${name}:${line} ${problem}`,
      ),
    );
    expect(wrong).toEqual([]);
  });

  it('the method has sections 0 to 14, and there are nine laws', () => {
    expect([...headings].filter((number) => !number.includes('.'))).toEqual(
      Array.from({ length: 15 }, (_, i) => String(i)),
    );
    expect(headings.has('2.5') && headings.has('13.4')).toBe(true);
    expect([...laws]).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  it.each([
    'as method §2.5 says, and method §13.4.',
    'the scheme of paper §3.1 and paper §C.2',
    'cited as law 3, and laws of nature',
    'Sections of a report; hint bench has no Section',
  ])('accepts: %s', (text) => expect(wrongIn(text)).toEqual([]));

  it.each([
    ['method §2.99', 'no heading of docs/method.md'],
    ['method §15', 'no heading of docs/method.md'],
    ['(§2.5)', 'form'],
    ['hint-method §2.5', 'form'],
    ['method document §7.4', 'form'],
    ['method §2.4, §2.5', 'form'],
    ['method §§2.4', 'form'],
    ['method §2.4–2.5', 'form'],
    ['method § 2.4', 'form'],
    ['the method\n * §2.5', 'form'],
    ['paper Section 3.1', 'form'],
    ['Appendix C.2', 'form'],
    ['Sec. 3.1', 'form'],
    ['paper §Z.1', 'paper'],
    ['law 10', 'no law'],
    ['design law 3', 'form'],
    ['Law 3', 'form'],
    ['laws 3 and 4', 'form'],
    ['hint-method.md', 'form'],
    ['the method document', 'form'],
  ])('refuses: %s', (text, problem) => expect(wrongIn(text).join()).toContain(problem));

  it('reads a bare number on the method’s own page, and refuses one that leads nowhere', () => {
    expect(wrongIn('as §2.5 and method §2.4 say', true)).toEqual([]);
    expect(wrongIn('as §2.99 says', true).join()).toContain('no heading');
  });
});

describe('where files are', () => {
  it('nothing in the repository names a path outside it', () => {
    const outside = /\.\.\/shared\b|\bshared\/(?:fixtures|reference|design|style)\b|\/work\//;
    const wrong = textFiles().flatMap(({ name, text }) =>
      text.split('\n').flatMap((line, i) => (outside.test(line) ? [`${name}:${i + 1} ${line.trim()}`] : [])),
    );
    expect(wrong).toEqual([]);
  });
});
