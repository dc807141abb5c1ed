import { expect, it } from 'vitest';
import { overviewOf } from '../../src/reproduce/overview.js';
import { claimsOf } from '../../src/reproduce/claims.js';
import { reportOf } from '../../src/reproduce/index.js';
import { MADE, TINY_GRID, tinySettings } from './settings.js';

const [cell] = TINY_GRID.cells;
const report = reportOf(
  {
    grid: TINY_GRID,
    interrupted: false,
    cells: [
      { cell: cell!, model: 'tiny', size: undefined, seed: 0, steps: 1, folder: '', status: 'pending' },
    ],
  },
  tinySettings('runs'),
  MADE,
);

it('the report of all counts claims by what became of them, and has every table below a heading of its own', () => {
  const text = overviewOf(
    [
      { name: 'tiny', title: 'A tiny table', state: '0 of 1 cells', markdown: '# A tiny table\n\n## What the paper says\n', chart: 'tiny.png', report }, // prettier-ignore
      { name: 'table2', title: 'Table | two', state: 'left out for want of its data' },
    ],
    MADE,
  );
  expect(report.claims.map(({ verdict }) => verdict)).toEqual(['not run']);
  expect(text).toContain('| tiny | A tiny table | 0 of 1 cells | 0 | 0 | 0 | 0 | 1 |');
  expect(text).toContain('| table2 | Table \\| two | left out for want of its data |  |  |  |  |  |');
  expect(text).toContain('\n## A tiny table\n\n### What the paper says\n\n![A tiny table](tiny.png)\n');
  expect(text).toMatch(/\n## Table \\?\| two\n\ntable2: left out for want of its data\./);
  expect(text.match(/^# /gm)).toHaveLength(1);
  expect(claimsOf({ grid: TINY_GRID, cells: [] })).toEqual([]);
});
