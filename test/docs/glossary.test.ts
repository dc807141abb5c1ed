import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root, textFiles } from './citations.js';

/** The rows of the glossary: a word, and the names that code has for it. */
function entries(): { word: string; names: string[] }[] {
  const page = readFileSync(join(root, 'docs', 'glossary.md'), 'utf8');
  return [...page.matchAll(/^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$/gm)]
    .map((row) => ({
      word: row[1] as string,
      names: [...(row[2] as string).matchAll(/`([^`]+)`/g)].map((name) => name[1] as string),
    }))
    .filter(({ word }) => word !== 'word' && word !== '---');
}

describe('the glossary', () => {
  const source = textFiles()
    .filter(({ name }) => /^(?:src|native|bindings)\//.test(name))
    .map(({ text }) => text)
    .join('\n');
  const inCode = new Set(source.match(/\w+/g));

  it('names nothing that code does not have', () => {
    const missing = entries().flatMap(({ names }) =>
      names.filter((name) => name.split(' ').some((part) => !inCode.has(part))),
    );
    expect(missing).toEqual([]);
  });

  it('has one entry a word', () => {
    const words = entries().map(({ word }) => word);
    expect(words.length).toBeGreaterThan(40);
    expect(words.filter((word, i) => words.indexOf(word) !== i)).toEqual([]);
  });
});
