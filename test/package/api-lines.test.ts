import { expect, it } from 'vitest';
// @ts-expect-error: a script has no types
import { saysMore } from '../../scripts/api/lines.mjs';

it.each([
  ['The peak bytes.', 'peakBytes', false],
  ['Bytes of the peak', 'peakBytes', false],
  ['', 'peakBytes', false],
  ['Peak bytes since the last reset.', 'peakBytes', true],
  ['In nats.', 'loss', true],
])('"%s" about %s says more than the name: %s', (text, name, more) => {
  expect(saysMore(text, name)).toBe(more);
});
