import { describe, expect, it } from 'vitest';
import { HintError } from '../../src/util/errors.js';
import { markdownTable } from '../../src/util/markdown.js';
import { barChart } from '../../src/util/plot/charts.js';
import { svgToPng } from '../../src/util/plot/png.js';
import { shortened, shown, shownMarkdown, shownText, shownXml } from '../../src/util/shown.js';

const codes = (from: number, to: number): string =>
  String.fromCharCode(...Array.from({ length: to - from + 1 }, (_, i) => from + i));
const CONTROLS = codes(0, 0x1f) + codes(0x7f, 0x9f);
const BIDI = codes(0x202a, 0x202e) + codes(0x2066, 0x2069);

describe('text of unknown origin', () => {
  it('never reaches a terminal with what the terminal would act on', () => {
    for (const character of [...CONTROLS, ...BIDI, '\u2028', '\u2029', '\ud800', '\udfff'])
      expect(shown(`a${character}b`)).toMatch(/^a\\([nrt]|u[0-9a-f]{4})b$/);
    expect(shown('\u001b]0;title\u0007 \u009b31m')).toBe('\\u001b]0;title\\u0007 \\u009b31m');
  });

  it('stays as it is where it is harmless: every script, emoji, joiners, combining marks', () => {
    const text = 'Grüße, 你好, שלום\u200f, नमस्ते, 👩‍👩‍👧, e\u0301, \\u001b, «»';
    expect(shown(text)).toBe(text);
  });

  it('of several lines keeps its lines, and JSON means the same after it', () => {
    expect(shownText('a\n\tb\r\u001b')).toBe('a\n\tb\\r\\u001b');
    const value = { [`k${CONTROLS}${BIDI}`]: ['\ud800', '\u2028', '\u007f\u0085'] };
    const json = shownText(JSON.stringify(value, null, 2));
    expect(json).not.toMatch(/(?!\n)[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u);
    expect(JSON.parse(json)).toEqual(value);
  });

  it('is cut in its middle where it is long, and says how much is missing', () => {
    expect(shortened('short', 10)).toBe('short');
    const cut = shortened(`begin${'x'.repeat(1e6)}end`, 100);
    expect(cut).toMatch(/^beginx+ … \(999908 characters left out\) … x+end$/);
    expect(cut.length).toBeLessThan(150);
  });

  it('makes one line of bounded length of every error message', () => {
    const name = `\u001b[2J\nhint: all is well\u202e${'y'.repeat(1e6)}`;
    const { message } = new HintError('INVALID_DATA', `The field ${name} is wrong; take it out.`);
    expect(message).toMatch(/^The field \\u001b\[2J\\nhint: all is well\\u202ey+ … .*; take it out\.$/);
    expect(message.length).toBeLessThan(4100);
  });

  it('is no markup of a report', async () => {
    const name = '<script>alert("1")</script> | *b* `c` [d](e) & \u001b\n# f';
    expect(shownMarkdown(name)).not.toMatch(/[<>\n\u001b]|(?<!\\)[|*`[\]]/);
    const [, , row] = markdownTable(['name'], [[name]]);
    expect(row?.replaceAll('\\|', '').split('|')).toHaveLength(3);
    expect(shownXml(name)).not.toMatch(/[<>"\u001b]|&(?!(amp|lt|gt|quot|#39);)/);
    const chart = barChart({
      title: name,
      yLabel: '\u0000',
      groups: [`${name}\ud800`],
      series: [{ name, values: [{ value: 1 }] }],
    });
    expect(chart).not.toContain('<script>');
    // XML with a control in it cannot be drawn.
    expect((await svgToPng(chart)).length).toBeGreaterThan(1000);
  });
});
