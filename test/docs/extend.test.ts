import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
// @ts-expect-error: a script, plain JavaScript
import { applied, stepsOf } from '../../scripts/extend-page.mjs';

interface Step {
  kind: 'new' | 'edit' | 'run';
  file?: string;
  without?: string;
  failure?: string;
  needsCuda?: boolean;
  body: string;
}
const steps = stepsOf as (page: string, text: string) => Step[];
const apply = applied as (page: string, step: Step, before?: string) => string;

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'docs/extend');
const pages = readdirSync(folder).filter((name) => name.endsWith('.md'));

const block = (sentence: string, body = 'x', language = 'ts'): string =>
  `Words.\n\n${sentence}\n\n\`\`\`${language}\n${body}\n\`\`\`\n`;

describe('the pages that show how to extend the engine', () => {
  // Running what they say takes minutes: npm run test:extend.
  it.each(pages)('%s names files and lines that there are', (page) => {
    const files = new Map<string, string>();
    for (const step of steps(page, readFileSync(join(folder, page), 'utf8'))) {
      if (step.kind === 'run') {
        expect(step.without === undefined || files.has(step.without), step.without).toBe(true);
        continue;
      }
      const file = step.file as string;
      const before =
        files.get(file) ?? (step.kind === 'new' ? undefined : readFileSync(join(root, file), 'utf8'));
      files.set(file, apply(page, step, before));
    }
    expect(files.size).toBeGreaterThan(0);
  });
});

describe('a page that is followed', () => {
  it('says in the sentence above a block what is done with it, also over two lines', () => {
    const read = (sentence: string): Partial<Step> => {
      const [step] = steps('p.md', block(sentence));
      const { body, line, ...rest } = step as Step & { line: number };
      expect([body, line]).toEqual(['x\n', sentence.includes('\n') ? 6 : 5]);
      return rest;
    };
    expect(read('See. New file `a/b.ts`:')).toEqual({ kind: 'new', file: 'a/b.ts' });
    expect(read('In `a.ts`, after the\nline ``a `b` c``:')).toEqual({ kind: 'edit', file: 'a.ts', where: 'after', anchor: 'a `b` c' }); // prettier-ignore
    expect(read('Run:')).toEqual({ kind: 'run' });
    expect(read('Run, with nvcc:')).toEqual({ kind: 'run', needsCuda: true });
    expect(read('This fails with `no`:')).toEqual({ kind: 'run', failure: 'no' });
    expect(read('With nvcc, and without `a.ts`, this fails with `no`:')).toEqual({ kind: 'run', without: 'a.ts', failure: 'no', needsCuda: true }); // prettier-ignore
    expect(read('Without `a.ts`, this fails with `no`:')).toEqual({ kind: 'run', without: 'a.ts', failure: 'no' }); // prettier-ignore
  });

  it('leaves no block out because of a slip of the pen', () => {
    expect(() => steps('p.md', block('New File `a.ts`:'))).toThrow(/^p\.md:5: .*does not say what to do/);
    expect(() => steps('p.md', block('Run:').replace(/```\n$/, ''))).toThrow(/p\.md:5: .*never closed/);
    expect(steps('p.md', block('So it looks:', 'x', 'text'))).toEqual([]);
  });

  it('inserts at the one line that it names, and nowhere else', () => {
    const edit = (where: string, text?: string): string =>
      apply('p.md', steps('p.md', block(`In \`a.ts\`, ${where} the line \`b\`:`))[0] as Step, text);
    expect(edit('after', 'a\n  b\nc')).toBe('a\n  b\nx\nc');
    expect(edit('before', 'a\nb\nc')).toBe('a\nx\nb\nc');
    expect(edit('instead of', 'a\nb\nc')).toBe('a\nx\nc');
    expect(() => edit('after', 'a\nc')).toThrow(/has 0 lines "b"/);
    expect(() => edit('after', 'b\nb')).toThrow(/has 2 lines "b"/);
    expect(() => edit('after')).toThrow(/no file a\.ts/);
    expect(() => apply('p.md', steps('p.md', block('New file `a.ts`:'))[0] as Step, 'old')).toThrow(
      /exists already/,
    );
  });
});
