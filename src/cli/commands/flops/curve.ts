import { costCurve, type CostCurve, type CurvePoint } from '../../../accounting/cost-curve.js';
import { lineChart } from '../../../util/plot/charts.js';
import { checkChartPath, writeChart } from '../../../util/plot/png.js';
import { note, print, printJson, table } from '../../support/context.js';
import { checkReplaceable, picture } from '../../../util/existing.js';

const AXIS_NAMES = {
  instruction: 'Instruction tokens',
  shots: 'Few-shot examples in the instruction',
  examples: 'Inputs per task',
} as const;

/** `hint flops --curve`: Figure 3, right. */
export async function curve(
  over: string,
  options: { size: string; plot: readonly string[]; json: boolean },
): Promise<void> {
  for (const path of options.plot) {
    checkChartPath(path);
    await checkReplaceable(path, picture(path));
  }
  const result = costCurve(over, options.size);
  const svg = options.plot.length > 0 ? drawCostCurve(result) : '';
  for (const path of options.plot) await writeChart(path, svg);
  if (options.json) printJson({ ...result, plots: options.plot });
  else print(describe(result));
  for (const path of options.plot) note(`Written: ${path}`);
}

function describe({ over, size, points, slopeRatio }: CostCurve): string {
  const rows = points.map((point) => [
    point.x,
    ...[point.tkInstruct, point.hint, point.tkInstructCounted, point.hintCounted].map((value) =>
      value.toFixed(3),
    ),
    `${(point.tkInstructCounted / point.hintCounted).toFixed(2)}×`,
  ]);
  return [
    `Relative FLOPs of T5 ${size}${over === 'examples' ? ' for one input' : ', 100 inputs a task'}; 1 is Tk-Instruct of T5 base with the median definition of SNI.`,
    '',
    table([AXIS_NAMES[over].toLowerCase(), 'Tk-Instruct', 'HINT', 'Tk-Instruct, counted', 'HINT, counted', 'saved, counted'], rows), // prettier-ignore
    ...(slopeRatio
      ? [
          '',
          `A longer instruction costs HINT ${(100 * slopeRatio.formula).toFixed(2)} % of what it costs Tk-Instruct by the formula, ${(100 * slopeRatio.counted).toFixed(2)} % counted.`,
        ]
      : []),
  ].join('\n');
}

/** The chart of a curve, as SVG. */
export function drawCostCurve({ over, size, points }: CostCurve): string {
  const series = (name: string, of: keyof CurvePoint, like: string, dashed: boolean) => ({
    name,
    like,
    dashed,
    points: points.map((point) => ({ x: point.x, y: point[of] })),
  });
  return lineChart({
    title: over === 'examples' ? 'Cost of one input' : 'Cost of a longer instruction',
    subtitle: `T5 ${size}, ${over === 'examples' ? 'instruction of 69 tokens' : '100 inputs a task'}, SNI's median lengths; 1 is Tk-Instruct of T5 base`,
    xLabel: AXIS_NAMES[over],
    yLabel: 'Relative FLOPs',
    logX: over === 'examples',
    series: [
      series('Tk-Instruct, formula', 'tkInstruct', 'tk', false),
      series('Tk-Instruct, counted', 'tkInstructCounted', 'tk', true),
      series('HINT, formula', 'hint', 'hint', false),
      series('HINT, counted', 'hintCounted', 'hint', true),
    ],
  });
}
