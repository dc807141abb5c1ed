import { describe, expect, it } from 'vitest';
import { generateDemoDataset } from '../../src/demo/dataset.js';
import { generatePretrainingPairs } from '../../src/demo/pretraining.js';
import { REQUESTS } from '../../src/demo/wording.js';

const pairs = [...generatePretrainingPairs({ seed: 1, documents: 3000 })];

describe('pretraining text', () => {
  it('is the same for the same seed and leaves no half empty', () => {
    expect([...generatePretrainingPairs({ seed: 1, documents: 3000 })]).toEqual(pairs);
    expect(pairs.filter(({ input, target }) => input === '' || target === '')).toEqual([]);
  });

  it('shows no test definition and never answers a request', () => {
    const texts = pairs.map(({ input, target }) => `${input} ${target}`);
    const { test } = generateDemoDataset({ seed: 1 });
    const leaked = test
      .map((task) => task.Definition[0] ?? '')
      .filter((definition) => texts.includes(definition));
    expect(leaked).toEqual([]);
    const openings = Object.values(REQUESTS).flatMap((wordings) =>
      wordings.test.map((text) => text.split('{')[0]),
    );
    const unseenOpenings = openings.filter((opening) => opening?.startsWith('Your answer is'));
    expect(unseenOpenings.length).toBeGreaterThan(0);
    expect(texts.filter((text) => text.includes('Your answer is'))).toEqual([]);
    const isScene = (text: string): boolean => /^(Words|Record|Story|Numbers):/.test(text);
    expect(
      texts.filter((text) => isScene(text) && /\b(Write|Find|Reply|Say|Your task)\b/.test(text)),
    ).toEqual([]);
  });
});
