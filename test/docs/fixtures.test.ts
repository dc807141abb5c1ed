import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..', '..');

/** The names in the first column of the table of method §14. */
function documentedCases(): string[] {
  const page = readFileSync(join(root, 'docs', 'method.md'), 'utf8');
  const section = page.slice(page.indexOf('\n## 14. '));
  return [...section.matchAll(/^\| ([^|]+) \|/gm)]
    .flatMap((row) => (row[1] as string).split(', '))
    .filter((name) => name !== 'case' && name !== '---');
}

describe('the fixtures of the original code', () => {
  it('every case says in method §14 where its values come from, and every case named there is in the repository', () => {
    const folders = readdirSync(join(root, 'test', 'fixtures', 'original'));
    expect(documentedCases().sort()).toEqual(folders.sort());
  });
});
