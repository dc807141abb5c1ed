import { describe, expect, it } from 'vitest';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { applyOverrides, mergeSettings } from '../../src/training/config/overrides.js';
import { findRecipe, RECIPES } from '../../src/training/config/recipes.js';

const own = { model: { init: 't5' }, data: { directory: 'data' }, output: 'run' };

describe('recipes', () => {
  it.each(RECIPES.map(({ name, settings }) => ({ name, settings })))(
    '$name is a valid configuration that a run’s own settings go over',
    ({ settings }) => {
      const config = parseTrainingConfig(mergeSettings(settings, own));
      expect(config).toMatchObject({ learningRate: 1e-3, dropout: 0.1, optimizer: { name: 'adafactor' } });
      const json = { ...own, batchSize: 8, optimizer: { groups: { t5: { frozen: true } } } };
      const changed = parseTrainingConfig(applyOverrides(mergeSettings(settings, json), ['steps=3']));
      expect(changed).toEqual({
        ...config,
        batchSize: 8,
        steps: 3,
        optimizer: {
          ...config.optimizer,
          groups: { ...config.optimizer.groups, t5: { frozen: true } },
        },
      });
    },
  );

  it('go on with the hypernetwork’s schedule only where it was pretrained', () => {
    const offsets = RECIPES.map(({ name, settings }) => [
      name,
      settings.firstStep,
      parseTrainingConfig(mergeSettings(settings, own)).optimizer.groups['hyper'],
    ]);
    expect(offsets).toEqual([
      ['sni', 1_100_000, undefined],
      ['sni-pretrained', 1_110_000, { stepOffset: 1_100_000 }],
      ['p3', 1_100_000, undefined],
      ['p3-pretrained', 1_110_000, { stepOffset: 1_100_000 }],
    ]);
  });

  it('asked for by a wrong name, are listed', () => {
    expect(() => findRecipe('snli')).toThrow(/"snli".*sni, sni-pretrained, p3, p3-pretrained/);
  });

  it('are not changed by what is put over them', () => {
    const before = JSON.stringify(RECIPES);
    applyOverrides(mergeSettings(findRecipe('sni').settings, {}), ['optimizer.groups.hyper.frozen=true']);
    expect(JSON.stringify(RECIPES)).toBe(before);
  });
});
