import { costCurve, type CostCurve } from '../../../accounting/cost-curve.js';
import { checkChartPath, writeChart } from '../../../util/plot/png.js';
import { note, print, printJson, table } from '../../support/context.js';
import { COST_AXES, drawCostCurve } from '../../support/cost-curve-chart.js';
import { checkReplaceable, picture } from '../../../util/existing.js';

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
    table([COST_AXES[over].toLowerCase(), 'Tk-Instruct', 'HINT', 'Tk-Instruct, counted', 'HINT, counted', 'saved, counted'], rows), // prettier-ignore
    ...(slopeRatio
      ? [
          '',
          `A longer instruction costs HINT ${(100 * slopeRatio.formula).toFixed(2)} % of what it costs Tk-Instruct by the formula, ${(100 * slopeRatio.counted).toFixed(2)} % counted.`,
        ]
      : []),
  ].join('\n');
}
