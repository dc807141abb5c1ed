import { describe, expect, it } from 'vitest';
import { sizedConfig } from '../../../src/model/config/sizes.js';
import { parameterCount } from '../../../src/model/parameters/parameter-shapes.js';
import { estimatedSeconds, namedWork } from '../../../src/reproduce/published/estimate.js';
import { findPublished, PUBLISHED_MODELS } from '../../../src/reproduce/published/index.js';
import { table1 } from '../../../src/reproduce/table1.js';
import { RATES } from './stand-ins.js';

describe('the list of published models', () => {
  it('prints averages that are those of its data sets, as printed', () => {
    const figures = PUBLISHED_MODELS.flatMap((model) => model.figures).filter(({ datasets }) => datasets);
    expect(figures).toHaveLength(4);
    for (const { value, datasets = {} } of figures) {
      const values = Object.values(datasets);
      expect(values).toHaveLength(9);
      expect(Math.abs(values.reduce((sum, one) => sum + one, 0) / 9 - value)).toBeLessThan(0.1);
    }
  });

  it("has the paper's figures of Tk-Instruct as Table 1 has them", () => {
    const cell = table1.cells.find(({ row, column }) => row === 'Tk-Instruct' && column === 'Def + 2 Pos');
    for (const [name, size] of [
      ['tk-instruct-base', '250M'],
      ['tk-instruct-3b', '3B'],
      ['tk-instruct-11b', '11B'],
    ] as const)
      // prettier-ignore
      expect(findPublished(name).figures[0]?.value).toBe(cell?.paper?.[size]);
    expect(findPublished('tk-instruct-large').figures).toEqual([]);
  });

  it('lists downloads of the size that the parameters have in bf16 or f32', () => {
    for (const { size, download } of PUBLISHED_MODELS) {
      const parameters = parameterCount(sizedConfig(size));
      const perParameter = download.bytes / parameters;
      expect(Math.min(Math.abs(perParameter - 2), Math.abs(perParameter - 4))).toBeLessThan(0.1);
    }
  });

  it('is found by its names, and by no other', () => {
    expect(findPublished('bigscience/T0').name).toBe('t0-11b');
    expect(() => findPublished('t5')).toThrow(/There is no published model "t5".*tk-instruct-base/);
  });
});

describe('the estimate of a whole evaluation', () => {
  it('grows with the model, the examples and the slowness of the device', () => {
    const options = { roofs: RATES, dtype: 'f32', batchSize: 64 } as const;
    const { data } = findPublished('tk-instruct-base');
    const base = estimatedSeconds(sizedConfig('base'), namedWork(data), options);
    // 2 × 0.25e9 parameters × 199 tokens × 11,810 examples at 1 TFLOP/s, about: the decoder reads one token.
    expect(base).toBeGreaterThan(300);
    expect(base).toBeLessThan(1500);
    expect(estimatedSeconds(sizedConfig('xl'), namedWork(data), options)).toBeGreaterThan(8 * base);
    expect(estimatedSeconds(sizedConfig('base'), namedWork(data, 10), options)).toBeLessThan(base / 8);
    const slow = { ...options, roofs: { ...RATES, product: 1e11 } };
    expect(estimatedSeconds(sizedConfig('base'), namedWork(data), slow)).toBeGreaterThan(5 * base);
  });
});
