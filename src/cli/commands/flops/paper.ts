import {
  PAPER_LENGTHS,
  paperTablesWith,
  reproducePaperTables,
  type ReproducedCell,
  type TableLengths,
} from '../../../accounting/paper-tables.js';
import type { PaperCell } from '../../../accounting/paper-cells.js';
import { EXIT, print, printJson, table } from '../../support/context.js';
import { measuredSplit, type MeasuredSplit } from '../../support/measured-lengths.js';

interface PaperOptions {
  kappa: number;
  /** A file of statistics, whose lengths are counted with instead of the paper's. */
  data?: string;
  split?: string;
  json: boolean;
}

/** `hint flops --paper`: the paper's relative FLOPs beside what its stated conventions give. */
export async function paperTables(options: PaperOptions): Promise<number> {
  if (options.data !== undefined) return tablesOfData(options.data, options);
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

/** The paper's tables as they are with the medians of other data. */
async function tablesOfData(file: string, { split, kappa, json }: PaperOptions): Promise<number> {
  const measured = await measuredSplit(file, split);
  const lengths = tableLengths(measured);
  const cells = paperTablesWith(lengths, kappa);
  const ofPaper = new Map(reproducePaperTables(kappa).map((cell) => [keyOf(cell), cell.computed]));
  if (json) {
    printJson({ inputs: lengths, kappa, cells });
    return EXIT.ok;
  }
  const rows = cells.map((cell) => [
    cell.table,
    cell.row,
    shortColumn(cell.column),
    cell.value.toFixed(1),
    (ofPaper.get(keyOf(cell)) ?? 0).toFixed(2),
    cell.computed.toFixed(2),
    cell.formula,
  ]);
  print(table(['table', 'row', 'column', 'paper', 'its lengths', 'these lengths', 'formula'], rows));
  print();
  print(
    `These lengths are the medians of the split ${measured.split} of ${file}, for ${measured.examples} inputs a task; the paper's are for ${PAPER_LENGTHS.examples}.`,
  );
  if (lengths.sni && !lengths.sni.twoPositive)
    print(
      'Columns with two positive examples are left out; measure them with hint data --statistics --positives 2.',
    );
  return EXIT.ok;
}

function keyOf({ table: number, row, column }: PaperCell): string {
  return `${number} ${row} ${column}`;
}

/** Prompts have the lengths of Tables 2, 3 and 9, instructions of any other kind those of Table 1. */
function tableLengths({ kind, shots, median, examples }: MeasuredSplit): TableLengths {
  const { input: instance, target: output, instruction, together: full } = median;
  const { instructionWithShots, togetherWithShots } = median;
  const hasShots = instructionWithShots !== undefined && togetherWithShots !== undefined && shots > 0;
  if (kind === 'p3') {
    const tokensPerShot = hasShots ? (togetherWithShots - full) / shots : undefined;
    const prompt = { instruction, full };
    return { examples, p3: { instance, output, prompt }, ...(tokensPerShot && { tokensPerShot }) };
  }
  const twoPositive =
    hasShots && shots === 2 ? { instruction: instructionWithShots, full: togetherWithShots } : undefined;
  return { examples, sni: { instance, output, def: { instruction, full }, twoPositive } };
}

function shortColumn(column: string): string {
  return column.replace(/ ?Rel\. FLOPs/, '').replace('HINT FLOPs Reduction', 'reduction') || '–';
}

function describe(cells: readonly ReproducedCell[], outside: number): string {
  const tested = cells.filter(({ within }) => within !== null).length;
  const rows = cells.map(({ table: number, row, column, value, computed, within, formula, ...cell }) => [
    number,
    row,
    shortColumn(column),
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
