import {
  PAPER_LENGTHS,
  reproducePaperTables,
  type ReproducedCell,
} from '../../../accounting/paper-tables.js';
import { EXIT, print, printJson, table } from '../../support/context.js';

/** `hint flops --paper`: the paper's relative FLOPs beside what its stated conventions give. */
export function paperTables(options: { kappa: number; json: boolean }): number {
  const cells = reproducePaperTables(options.kappa);
  const outside = cells.filter(({ within }) => within === false);
  if (options.json) {
    printJson({
      inputs: PAPER_LENGTHS,
      kappa: options.kappa,
      cells: cells.map((cell) => ({ ...cell, tested: cell.within !== null })),
    });
  } else print(describe(cells, outside.length));
  return outside.length === 0 ? EXIT.ok : EXIT.failed;
}

function describe(cells: readonly ReproducedCell[], outside: number): string {
  const tested = cells.filter(({ within }) => within !== null).length;
  const rows = cells.map(({ table: number, row, column, value, computed, within, formula, ...cell }) => [
    number,
    row,
    column.replace(/ ?Rel\. FLOPs/, '').replace('HINT FLOPs Reduction', 'reduction') || '–',
    value.toFixed(1) + (cell.legible ? '' : ' (unclear)'),
    computed.toFixed(2),
    within === null ? 'not by any formula' : `${within ? 'yes' : 'NO'} (±${tolerance(cell)})`,
    formula,
  ]);
  return [
    table(['table', 'row', 'column', 'paper', 'ours', 'agrees', 'formula'], rows),
    '',
    `${tested - outside} of ${tested} cells agree; ${cells.length - tested} are reproduced by no stated formula and are shown as they are.`,
    'n inputs of i tokens with o of output, t of instruction, f the median of instruction and input together; N parameters,',
    'A = l (1024 d + 60 h k) generated over both stacks, G = κ M d² once a task, M = 1024 (Le + Ld) + 60 (Le + 2 Ld).',
    "Table 1 is relative to Tk-Instruct 250M with the definition, Tables 2 and 9 to T0-3B; Table 3 is the baseline's cost over HINT's.",
  ].join('\n');
}

function tolerance({
  toleranceAbs,
  toleranceRel,
}: Pick<ReproducedCell, 'toleranceAbs' | 'toleranceRel'>): string {
  return toleranceAbs === null ? `${((toleranceRel ?? 0) * 100).toFixed(1)} %` : String(toleranceAbs);
}
