import { describe, expect, it } from 'vitest';
import { costCurve } from '../../src/accounting/cost-curve.js';
import { PAPER_CELLS } from '../../src/accounting/paper-cells.js';
import { reproducePaperTables } from '../../src/accounting/paper-tables.js';

describe('the paper’s relative FLOPs', () => {
  const cells = reproducePaperTables();
  const computed = (row: string, column = 'Def Rel. FLOPs', table = 1) =>
    cells.find((cell) => cell.table === table && cell.row === row && cell.column === column)?.computed;

  it('agree in every cell that a stated formula gives', () => {
    expect(cells).toHaveLength(55);
    expect(cells.filter(({ within }) => within === false)).toEqual([]);
    expect(cells.filter(({ within }) => within === true)).toHaveLength(53);
    // A tolerance so wide that anything passes would make this worthless.
    for (const { value, toleranceAbs, toleranceRel } of PAPER_CELLS) {
      expect(Math.max(toleranceAbs ?? 0, (toleranceRel ?? 0) * value)).toBeLessThanOrEqual(0.025 * 66);
      expect(toleranceRel ?? 0).toBeLessThanOrEqual(0.04);
      expect(toleranceAbs ?? 0).toBeLessThanOrEqual(0.06);
    }
  });

  it('show the cells of OPT-13B as they come out, not bent', () => {
    const opt = cells.filter(({ within }) => within === null);
    expect(opt.map(({ row, value, computed: ours }) => [row, value, Math.round(ours * 10) / 10])).toEqual([
      ['OPT-13B 13B', 15.9, 35.5],
      ['OPT-13B 13B', 16.4, 36.5],
    ]);
  });

  it('are those worked out by hand', () => {
    // (69·3e9 + 3·53,472·2048² + 100·(3e9 + 48·1084·2048)·45) / (100·2.5e8·134)
    const generated = 48 * 1084 * 2048;
    expect(computed('HINT (ours) 3B')).toBeCloseTo(
      (69 * 3e9 + 3 * 53_472 * 2048 ** 2 + 4500 * (3e9 + generated)) / 3.35e12,
      9,
    );
    expect(computed('HyperTune 3B')).toBeCloseTo((69 * 4.5e9 + 4500 * (3e9 + 48 * 60 * 2048)) / 3.35e12, 9);
    expect(computed('5-shot', 'HINT FLOPs Reduction', 3)).toBeCloseTo((100 * (429 + 81)) / (429 + 8100), 9);
  });

  it('depend on kappa where modules are generated, and only there', () => {
    const changed = reproducePaperTables(0).filter((cell, i) => cell.computed !== cells[i]?.computed);
    expect(new Set(changed.map(({ row }) => row.slice(0, 4)))).toEqual(new Set(['HINT']));
    expect(reproducePaperTables(30).some(({ within }) => within === false)).toBe(true);
  });
});

describe('the cost curve', () => {
  it('starts from Table 1: 1 for Tk-Instruct base with the definition, 0.38 for HINT', () => {
    const [first] = costCurve('shots', 'base').points;
    expect(first?.tkInstruct).toBeCloseTo(1, 9);
    expect(first?.tkInstructCounted).toBeCloseTo(1, 9);
    expect(first?.hint).toBeCloseTo(0.382, 3);
  });

  it('rises a hundred times slower for HINT, by formula and about so when counted', () => {
    for (const size of ['small', 'base', 'xl']) {
      const { slopeRatio } = costCurve('instruction', size);
      expect(slopeRatio?.formula).toBeCloseTo(0.01, 9);
      expect(slopeRatio?.counted).toBeLessThan(0.025);
      expect(slopeRatio?.counted).toBeGreaterThan(0.01);
    }
  });

  it('falls with every input that shares the task, from above Tk-Instruct to below it', () => {
    const { points, slopeRatio } = costCurve('examples', 'base');
    expect(slopeRatio).toBeUndefined();
    const hint = points.map((point) => point.hintCounted);
    expect(hint).toEqual([...hint].sort((a, b) => b - a));
    expect(hint[0]).toBeGreaterThan(1);
    expect(hint.at(-1)).toBeLessThan(0.5);
    expect(points.every((point) => Math.abs(point.tkInstructCounted - 1) < 1e-9)).toBe(true);
  });

  it('refuses other axes and sizes', () => {
    expect(() => costCurve('toString', 'base')).toThrow(
      /no curve over "toString"; choose one of instruction/,
    );
    expect(() => costCurve('shots', 'huge')).toThrow(/no size "huge"; choose one of tiny, small, base/);
    expect(() => costCurve('shots', 'constructor')).toThrow(/no size/);
  });
});
