import type { CostCurve, CurvePoint } from '../../accounting/cost-curve.js';
import { lineChart } from '../../util/plot/charts.js';

/** What costs are told along. */
export const COST_AXES = {
  instruction: 'Instruction tokens',
  shots: 'Few-shot examples in the instruction',
  examples: 'Inputs per task',
} as const;

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
    xLabel: COST_AXES[over],
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
