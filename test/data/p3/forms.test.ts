import { describe, expect, it } from 'vitest';
import { checkP3Setting, fieldLines, formatP3Row, prependShots } from '../../../src/data/p3/forms.js';
import type { P3Row } from '../../../src/data/p3/format.js';

const row: P3Row = {
  dataset: 'super_glue_rte',
  template: 'does_it_follow_that',
  idx: 0,
  source: 'made-up',
  prompt: 'Given that It rains. Does it follow that It is wet. Yes or no?',
  target: 'Yes',
  choices: ['Yes', 'No'],
  instruction: 'Given that [PREMISE] Does it follow that [HYPO_2] Yes or no?',
  fields: { premise: 'It rains.', hypo_2: 'It is wet.' },
};
const masked = 'Given that [MASK] Does it follow that [MASK] Yes or no?';
const lines = '[1]: It rains.\n[2]: It is wet.\n';
const words = (text: string): number => text.split(/\s+/).filter(Boolean).length;

describe('formatP3Row', () => {
  it.each([
    ['joint', { instruction: masked, input: row.prompt }],
    ['split', { instruction: masked, input: lines }],
    ['t0', { instruction: null, input: row.prompt }],
    ['no-prompt', { instruction: null, input: lines }],
  ] as const)('shows a prompt in the form %s', (form, shown) => {
    expect(formatP3Row(row, form, undefined)).toEqual(shown);
  });

  it('leaves out what a row without fields cannot show, and takes the template for its text', () => {
    const bare = { ...row, fields: undefined, instruction: undefined };
    expect(formatP3Row(bare, 'split', row.instruction)).toBeUndefined();
    expect(formatP3Row(bare, 'no-prompt', row.instruction)).toBeUndefined();
    expect(formatP3Row(bare, 'joint', undefined)).toBeUndefined();
    expect(formatP3Row(bare, 'joint', row.instruction)).toEqual({ instruction: masked, input: row.prompt });
    expect(formatP3Row(bare, 't0', undefined)).toEqual({ instruction: null, input: row.prompt });
  });

  it('masks field names only, not brackets of the text itself', () => {
    const text = 'Pick [a b] or [] for [X1]';
    expect(formatP3Row({ ...row, instruction: text }, 'joint', undefined)?.instruction).toBe(
      'Pick [a b] or [] for [MASK]',
    );
    expect(fieldLines({})).toBe('');
  });
});

describe('prependShots', () => {
  const shots = [
    { input: 'a b', target: 'c' },
    { input: 'd', target: 'e' },
  ];

  it('puts shots in front of the instruction, and of the input where there is none', () => {
    const text = 'a b Output: c\n\nd Output: e\n\n Definition: ';
    expect(prependShots({ instruction: 'do', input: 'x' }, shots, words)).toEqual({
      instruction: `${text}do`,
      input: 'x',
    });
    expect(prependShots({ instruction: null, input: 'x' }, shots, words)).toEqual({
      instruction: null,
      input: `${text}x`,
    });
  });

  it('drops the shots that do not fit into 960 tokens beside the input', () => {
    const input = (tokens: number) => ({ instruction: null, input: 'x '.repeat(tokens).trim() });
    const kept = (tokens: number) =>
      prependShots(input(tokens), shots, words).input.split(' Output: ').length - 1;
    // Four and three tokens with " Output: ".
    expect([kept(953), kept(954), kept(956), kept(957), kept(2000)]).toEqual([2, 1, 1, 0, 0]);
  });
});

describe('checkP3Setting', () => {
  it.each([
    [{ form: 'both', shots: 0 }, /joint, split, t0 and no-prompt/],
    [{ form: 't0', shots: -1 }, /shots is -1/],
    [{ form: 't0', shots: 1.5 }, /shots is 1.5/],
    [{ form: 'no-prompt', shots: 2 }, /no worked examples/],
  ])('refuses %j', (setting, message) => {
    expect(() => checkP3Setting(setting as never)).toThrow(message);
  });
});
