import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Template } from '../../../src/formats/jinja/template.js';
import type { Value } from '../../../src/formats/jinja/python/values.js';
import { HintError } from '../../../src/util/errors.js';
import { rowOf, rowOfJson } from '../../data/p3/jinja-rows.js';

const file = process.env.HINT_JINJA_CASES ?? new URL('../../fixtures/jinja/cases.jsonl', import.meta.url);

function rendered(source: string, row: ReadonlyMap<string, Value>): string {
  let text = '';
  new Template(source, 'It').render(row, { random: () => 0, write: (piece) => void (text += piece) });
  return text;
}

/** The text, or undefined where it cannot be rendered; anything but an error in a sentence is the engine's fault. */
function outcome(source: string, row: ReadonlyMap<string, Value>): string | undefined {
  try {
    return rendered(source, row);
  } catch (error) {
    if (!(error instanceof HintError)) throw error;
    // What is refused by name is not taken for an error of the template.
    if (error.message.includes('NotSupported')) throw error;
    return undefined;
  }
}

describe('random templates', () => {
  it('mean what jinja2 renders, and fail where it fails', () => {
    const wrong: object[] = [];
    for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
      const { template, text } = JSON.parse(line) as { template: string; text?: string };
      // The row's numbers keep their form: 1.0 is no 1.
      const row = rowOfJson(line).get('row') as {
        entries?: ReadonlyMap<string, { key: Value; value: Value }>;
      };
      const fields = [...(row.entries?.values() ?? [])].map(
        ({ key, value }) => [key as string, value] as const,
      );
      const ours = outcome(template, new Map(fields));
      if (ours !== text) wrong.push({ template, text, ours });
    }
    expect(wrong).toEqual([]);
  });
});

describe('what templates meet in rows', () => {
  it.each([
    [
      '{{ a }} {{ b }} {{ a == 1 }} {{ c }} {{ c + 1 }}',
      '{"a": 1.0, "b": 1, "c": 10000000000000000000}',
      '1.0 1 True 10000000000000000000 10000000000000000001',
    ],
    ['{{ a[none] }}|{{ a["x"] }}|{{ a[nothing] }}|{{ a[0] }}', '{"a": ["no", "yes"]}', '|||no'],
    ['{{ a | default("d") }}{{ b.c | default("e") }}', '{"b": {}}', 'de'],
    ['{{ a.b | default("d") }}', '{}', undefined],
    ['{{ range(1, 5, 0) }}', '{}', undefined],
    ['{{ a | round }} {{ a | round(1) }} {{ a | int }}', '{"a": 2.675}', '3.0 2.7 2'],
    [
      '{% for a, b in zip(x, y) if a %}{{ loop.index }}{{ a }}{{ b }}{% else %}none{% endfor %}',
      '{"x": ["p", ""], "y": [1, 2]}',
      '1p1',
    ],
    ['{{ s[::-1] }} {{ s | length }} {{ s.find("b") }}', '{"s": "😀ab"}', 'ba😀 3 2'],
    ['{% raw %}{{ a }}{% endraw %}{% with b = 1 %}{{ b }}{% endwith %}', '{}', '{{ a }}1'],
    ['{{ constructor }}{{ a.constructor }}{{ a["__proto__"] }}', '{"a": {}}', ''],
  ])('%s of %s', (source, row, expected) => {
    expect(outcome(source, rowOfJson(row))).toBe(expected);
  });
});

describe('the text that promptsource cuts', () => {
  const cut = (source: string, fields: Record<string, unknown>): string => {
    let text = '';
    new Template(source, 'It').render(rowOf(fields), { random: () => 0, longest: 20, write: (piece) => void (text += piece) }); // prettier-ignore
    return text;
  };
  const long = 'aaaa bbbb cccc dddd eeee ffff';

  it('is that of the last operand, since a filter binds to it', () => {
    expect(cut('{{ s }}', { s: long })).toBe('aaaa bbbb cccc...');
    expect(cut('{{ s ~ s }}', { s: long })).toBe(`${long}aaaa bbbb cccc...`);
    expect(cut('{{ (s ~ s) | upper }}', { s: long })).toBe('AAAA BBBB CCCC...');
    expect(cut('{{ s if yes else s }}|{{ s if no else s }}', { s: long, yes: true })).toBe(`${long}|aaaa bbbb cccc...`); // prettier-ignore
    expect(cut('{{ "x" in s and s }}', { s: long })).toBe('False');
  });

  it('is left where it is short enough, so that numbers stay numbers', () => {
    expect(cut('{{ n + 1 }} {{ n == 1 }} {{ s }}', { n: 1, s: 'a'.repeat(25) })).toBe(
      `2 True ${'a'.repeat(25)}`,
    );
    expect(cut('{{ s }}', { s: 'a'.repeat(26) })).toBe(`${'a'.repeat(17)}...`);
  });
});
