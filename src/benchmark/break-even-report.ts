import { costOf, type CheaperInputs, type TaskCost } from '../accounting/break-even.js';
import type { WeightDType } from '../tensor/ops.js';
import { markdownTable } from '../util/markdown.js';
import { chartGrid, lineChart, type ChartPoint, type LineSeries } from '../util/plot/charts.js';
import { costOfPoint, shotsOf } from './break-even.js';
import {
  OTHER_SYSTEMS,
  COUNTED_SHOTS,
  TOLD_INPUTS,
  type BreakEven,
  type BreakEvenMeasure,
  type OtherSystem,
  type ComparedSystem,
} from './break-even-run.js';
import type { LatencyPart } from './latency-run.js';
import { NAMES } from './latency-targets.js';

/** The paragraphs and tables of a report; none where HINT was compared with nothing here. */
export function breakEvenMarkdown(part: LatencyPart): string[] {
  const { breakEven, examples } = part;
  if (!breakEven) return [];
  const shots = shotsOf(part);
  const rows = comparisons(breakEven).map(({ against, by }) => [
    NAMES[against],
    measureWords(by),
    ...shots.map((count) => {
      const found = breakEven.inputs.find((one) => one.against === against && one.by === by && one.shots === count); // prettier-ignore
      return found ? `${rangeWords(found)}${roundWords(found.rounds)}` : '';
    }),
  ]);
  const byInputs = comparisons(breakEven).map(({ against, by }) => [
    NAMES[against],
    measureWords(by),
    ...TOLD_INPUTS.map((inputs) => {
      const found = breakEven.shots.find((one) => one.against === against && one.by === by && one.inputs === inputs); // prettier-ignore
      return found ? shotWords(found.from, by === 'flops' ? COUNTED_SHOTS : (shots.at(-1) as number)) : '';
    }),
  ]);
  return [
    `Break-even: the inputs of one task for which HINT, compiling included, costs less, by number of shots. In seconds, once a task and for each input, as measured in calls of ${examples} input${examples === 1 ? '' : 's'}, medians of all rounds (the rounds by themselves in brackets); by FLOPs, as \`hint flops\` counts them.`,
    markdownTable(['against', 'by', ...shots.map(shotsHead)], rows).join('\n'),
    `The shots from which on HINT costs less, by inputs of one task; seconds among the shots measured, FLOPs up to ${COUNTED_SHOTS} shots:`,
    markdownTable(['against', 'by', ...TOLD_INPUTS.map((inputs) => `${inputs} input${inputs === 1 ? '' : 's'}`)], byInputs).join('\n'), // prettier-ignore
  ];
}

/** `from 3`, `up to 12`, `never`. */
export function rangeWords({ from, upTo }: CheaperInputs): string {
  if (from === null) return 'never';
  return upTo === null ? `from ${from}` : `up to ${upTo}`;
}

/** How far rounds lie apart, where they do: ` (7–8)`, ` (17–54, never)`. */
function roundWords(rounds: readonly CheaperInputs[] = []): string {
  if (new Set(rounds.map(rangeWords)).size < 2) return '';
  const never = rounds.some(({ from }) => from === null);
  const begun = rounds.flatMap(({ from, upTo }) => (from !== null && upTo === null ? [from] : []));
  const ended = rounds.flatMap(({ upTo }) => upTo ?? []);
  const words = [
    ...(begun.length > 0 ? [span(begun)] : []),
    ...(ended.length > 0 ? [`up to ${span(ended)}`] : []),
    ...(never ? ['never'] : []),
  ];
  return ` (${words.join(', ')})`;
}

function span(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? String(least) : `${least}–${most}`;
}

function shotWords(from: number | null, most: number): string {
  if (from === null) return `not with ${most}`;
  return `from ${from}`;
}

function shotsHead(count: number): string {
  return `${count} shot${count === 1 ? '' : 's'}`;
}

function measureWords(by: BreakEvenMeasure): string {
  return by === 'flops' ? 'FLOPs' : `seconds, ${by}`;
}

function comparisons({ inputs }: BreakEven): { against: OtherSystem; by: BreakEvenMeasure }[] {
  const seen = new Map(inputs.map(({ against, by }) => [`${against} ${by}`, { against, by }]));
  return [...seen.values()];
}

const THAN: Readonly<Record<OtherSystem, string>> = {
  t5: 'plain T5',
  decoder: 'the cached decoder-only model',
};

/** A range that is drawn on a logarithmic axis: the most over the least. */
const WIDE = 20;

/** Numbers of inputs at which costs are drawn. */
const DRAWN_INPUTS = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000];

/**
 * What an input costs by the inputs of its task, in seconds and in FLOPs, and the inputs from which on HINT costs less by
 * shots: SVG.
 *
 * @returns undefined where there is no break-even to draw
 */
export function breakEvenChart(part: LatencyPart): string | undefined {
  const { breakEven, model, points } = part;
  if (!breakEven) return undefined;
  const most = shotsOf(part).at(-1) as number;
  const dtype = breakEven.inputs.find(({ by }) => by !== 'flops')?.by as WeightDType;
  const systems: readonly ComparedSystem[] = ['hint', ...OTHER_SYSTEMS];
  const costs = (of: (system: ComparedSystem) => TaskCost | undefined): LineSeries[] =>
    systems.flatMap((system) => {
      const cost = of(system);
      if (!cost) return [];
      const drawn = DRAWN_INPUTS.map((x) => ({ x, y: costOf(cost, x) / x }));
      return [{ name: NAMES[system], points: drawn, markers: false }];
    });
  const counted = (system: ComparedSystem): TaskCost | undefined => {
    const point = points.find((one) => one.system === system && one.shots === most);
    return (
      point && {
        once: (point.flopsPerTask ?? 0) / 1e9,
        each: (point.flopsPerExample ?? NaN) / 1e9,
      }
    );
  };
  const shared = { xLabel: 'Inputs of the task', logX: true, logY: true };
  const charts = [
    lineChart({
      ...shared,
      title: `Seconds an input, ${model}`,
      subtitle: `${shotsHead(most)}, ${dtype}, what is done once a task included`,
      yLabel: 'Seconds an input',
      series: costs((system) => costOfPoint(part, system, dtype, most)),
    }),
    lineChart({
      ...shared,
      title: `FLOPs an input, ${model}`,
      subtitle: `${shotsHead(most)}, counted, what is done once a task included`,
      yLabel: 'GFLOP an input',
      series: costs(counted),
    }),
    ...OTHER_SYSTEMS.flatMap((against) => thresholds(breakEven, against, model)),
  ];
  return chartGrid(charts, 2);
}

/** The chart against one of those that HINT is compared with; none where it begins to cost less nowhere. */
function thresholds({ inputs }: BreakEven, against: OtherSystem, model: string): string[] {
  const series = new Map<BreakEvenMeasure, { points: Required<ChartPoint>[]; gaps: number[] }>();
  for (const { against: other, by, shots, from, upTo, rounds = [] } of inputs) {
    if (other !== against) continue;
    const { points, gaps } = series.get(by) ?? { points: [], gaps: [] };
    series.set(by, { points, gaps });
    if (from === null || upTo !== null) {
      gaps.push(shots);
      continue;
    }
    const begun = rounds.flatMap((round) => (round.from === null || round.upTo !== null ? [] : [round.from]));
    points.push({ x: shots, y: from, low: Math.min(from, ...begun), high: Math.max(from, ...begun) });
  }
  const begins = [...series].filter(([, { points }]) => points.length > 0);
  if (begins.length === 0) return [];
  const drawn = begins.flatMap(([, { points }]) => points.flatMap(({ low, high }) => [low, high]));
  return [
    lineChart({
      logY: Math.max(...drawn) > WIDE * Math.min(...drawn),
      title: `From where HINT costs less than ${THAN[against]}`,
      subtitle: `${model}, compiling included; bars: least and most of the rounds that have one; no point: never`,
      xLabel: 'Few-shot examples in the instruction',
      yLabel: 'Inputs of the task',
      series: begins.map(([by, { points, gaps }]) => ({
        ...{ name: measureWords(by), dashed: by === 'flops', gaps },
        points: by === 'flops' ? points.map(({ x, y }) => ({ x, y })) : points,
      })),
    }),
  ];
}
