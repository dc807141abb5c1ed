import { describe, expect, it } from 'vitest';
import { sizedConfig } from '../../src/model/config/sizes.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { applyOverrides, mergeSettings } from '../../src/training/config/overrides.js';
import { findRecipe, pretrainingSteps, RECIPES } from '../../src/training/config/recipes.js';

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
      ['sni-pretrained-11b', 1_107_000, { stepOffset: 1_100_000 }],
      ['p3', 1_100_000, undefined],
      ['p3-pretrained', 1_110_000, { stepOffset: 1_100_000 }],
      ['t0', 1_100_000, undefined],
    ]);
  });

  it('pretrain 11B for less, as the step from which its fine-tuning counts says', () => {
    expect(pretrainingSteps(sizedConfig('xl'))).toBe(10_000);
    expect(1_100_000 + pretrainingSteps(sizedConfig('xxl'))).toBe(
      findRecipe('sni-pretrained-11b').settings.firstStep,
    );
  });

  it('t0 trains twice as long as the other systems of P3, at the published rates', () => {
    const config = parseTrainingConfig(mergeSettings(findRecipe('t0').settings, own));
    expect(config).toMatchObject({ steps: 20_000, data: { kind: 'p3', mixture: 'published' } });
    expect(config.steps).toBe(2 * (findRecipe('p3').settings.steps ?? 0));
  });

  it('asked for by a wrong name, are listed', () => {
    expect(() => findRecipe('snli')).toThrow(
      /"snli".*sni, sni-pretrained, sni-pretrained-11b, p3, p3-pretrained, t0/,
    );
  });

  it('are not changed by what is put over them', () => {
    const before = JSON.stringify(RECIPES);
    applyOverrides(mergeSettings(findRecipe('sni').settings, {}), ['optimizer.groups.hyper.frozen=true']);
    expect(JSON.stringify(RECIPES)).toBe(before);
  });
});
