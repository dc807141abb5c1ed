import { markdownTable } from '../util/markdown.js';
import { lineChart } from '../util/plot/charts.js';
import { shownMarkdown } from '../util/shown.js';
import { slope } from '../util/statistics.js';
import type { LatencyPart, LatencyPoint, LatencySystem } from './latency-run.js';
import { momentSentence } from './machine.js';

const NAMES: Readonly<Record<LatencySystem, string>> = {
  hint: 'HINT',
  t5: 'plain T5',
  hf: 'HF T5',
  onnx: 'ONNX T5',
};

/** A ratio that the engine is to reach. */
export interface LatencyTarget {
  readonly name: string;
  /** `least`: at or above the limit is reached; `most`: at or below. */
  readonly kind: 'least' | 'most';
  readonly limit: number;
  readonly measured: number;
  readonly reached: boolean;
}

/**
 * The ratios that a run allows to state, of medians. They are set for the T5-base shape with 100 examples; what was not
 * measured is left out.
 */
export function latencyTargets({ points, dtypes }: LatencyPart): LatencyTarget[] {
  const targets: LatencyTarget[] = [];
  const add = (name: string, kind: 'least' | 'most', limit: number, measured: number | undefined): void => {
    if (measured === undefined || !Number.isFinite(measured)) return;
    targets.push({
      name,
      kind,
      limit,
      measured,
      reached: kind === 'least' ? measured >= limit : measured <= limit,
    });
  };
  const at = (system: LatencySystem, shots: number | undefined, dtype?: string): LatencyPoint | undefined =>
    fastest(
      points.filter(
        (point) =>
          point.system === system && point.shots === shots && (dtype === undefined || point.dtype === dtype),
      ),
    );
  const ratio = (over: LatencyPoint | undefined, under: LatencyPoint | undefined): number | undefined =>
    over && under && over.median / under.median;
  for (const [shots, limit] of [
    [0, 12],
    [2, 16],
    [5, 35],
  ] as const) {
    const baseline = at('hf', shots, 'f32');
    const hint = at('hint', shots);
    const where = baseline ? `${baseline.inputTokens} tokens` : '';
    add(
      `HINT in ${hint?.dtype} against HF in f32, ${shots} shots (${where})`,
      'least',
      limit,
      ratio(baseline, hint),
    );
  }
  for (const [dtype, limit] of [
    ['f32', 1.3],
    ['bf16', 1.8],
  ] as const) {
    add(
      `plain T5 against HF, both ${dtype}, 0 shots`,
      'least',
      limit,
      ratio(at('hf', 0, dtype), at('t5', 0, dtype)),
    );
  }
  for (const dtype of dtypes) {
    const rise = (system: LatencySystem): number => slopeOf(points, system, dtype);
    add(`seconds that a shot adds, HINT over plain T5, ${dtype}`, 'most', 1 / 20, rise('hint') / rise('t5'));
    const hint = at('hint', 0, dtype);
    const bare = at('t5', undefined, dtype);
    if (!hint || !bare) continue;
    const generating = hint.median - (hint.compileSeconds ?? 0);
    add(`compiled HINT over plain T5 without instruction, ${dtype}`, 'most', 1.15, generating / bare.median);
  }
  return targets;
}

/** Seconds that a shot adds; NaN where fewer than two were measured. */
function slopeOf(points: readonly LatencyPoint[], system: LatencySystem, dtype: string): number {
  const line = points.filter((point) => point.system === system && point.dtype === dtype);
  return slope(line.flatMap(({ shots, median }) => (shots === undefined ? [] : [{ x: shots, y: median }])));
}

function fastest(points: readonly LatencyPoint[]): LatencyPoint | undefined {
  return [...points].sort((a, b) => a.median - b.median)[0];
}

/** A run as Markdown, without a heading of its own. */
export function latencyMarkdown(part: LatencyPart): string {
  const { points, rounds, examples, outputTokens, shots } = part;
  const rows = points.map((point) => [
    `${NAMES[point.system]}, ${point.dtype}`,
    point.shots ?? 'no instruction',
    point.instructionTokens === undefined
      ? point.inputTokens
      : `${point.inputTokens} + ${point.instructionTokens} once`,
    seconds(point.median),
    `${seconds(point.p10)}–${seconds(point.p90)}`,
    point.compileSeconds === undefined ? '' : seconds(point.compileSeconds),
    point.eventLoopLag ? `${point.eventLoopLag.p99.toFixed(1)} ms` : '',
    gibibytes(point.memoryBytes),
  ]);
  const targets = latencyTargets(part).map(({ name, kind, limit, measured, reached }) => [
    name,
    `${kind === 'least' ? '≥' : '≤'} ${limit.toFixed(2)}×`,
    `${measured.toFixed(measured < 0.1 ? 3 : 2)}×`,
    reached ? 'reached' : { markdown: '**missed**' },
  ]);
  const columns = [
    'system',
    'shots',
    'tokens an input',
    's per 100',
    'p10–p90',
    'compiling',
    'lag p99',
    'memory',
  ];
  return [
    momentSentence(part),
    `${shownMarkdown(part.model)}, ${examples} examples of one task, ${outputTokens} greedy tokens each${part.device && part.device !== 'cpu' ? `, on ${part.device}` : ''}, median of ${rounds} round${rounds === 1 ? '' : 's'} in turns${examples === 100 ? '' : ', scaled to 100 examples'}; ${hintSentence(part)}${peersSentence(part)}`,
    `Lengths are the medians of Super-NaturalInstructions: input 44, with the definition 133, with two examples 199; each further shot adds what these differ by, 33 tokens. HINT's instruction grows by its own medians (69, 197 with two examples: 64 a shot), so that it reads more than plain T5. The shots measured: ${shots.join(', ')}.`,
    markdownTable(columns, rows).join('\n'),
    ...(targets.length === 0
      ? []
      : [
          markdownTable(['target (base shape, 100 examples)', 'to reach', 'measured', ''], targets).join(
            '\n',
          ),
        ]),
    `Memory: of the engine, weights as inference reads them and what a run took beside them at its peak; the parameters that they were made from, packed or rounded (${gibibytes(part.parameterBytes)}), come on top. Of peers: the resident process.`,
  ].join('\n\n');
}

function hintSentence({ adapterSize, points }: LatencyPart): string {
  return points.some(({ system }) => system === 'hint')
    ? `HINT has adapters of ${adapterSize}, and its compilation is included once. `
    : 'HINT was not measured. ';
}

function peersSentence({ peers, hfBatch }: LatencyPart): string {
  const { hf, onnx } = peers;
  const sentences: string[] = [];
  if (hf && 'skipped' in hf) sentences.push(shownMarkdown(`HF transformers was left out: ${hf.skipped}`));
  else if (hf) {
    sentences.push(
      shownMarkdown(
        `HF transformers ${hf.transformers} on torch ${hf.torch}, ${hf.attention} attention, ${hf.threads} threads, batches of ${hfBatch}, the faster of 25 and 100 (or all) in f32.`,
      ),
    );
  }
  if (onnx) sentences.push(`ONNX Runtime through @xenova/transformers ${onnx.transformersJs}, ${onnx.weights} weights, one input at a time.`); // prettier-ignore
  return sentences.join(' ');
}

/** The paper's Figure 4: seconds per 100 examples by shots, a line per system and dtype. */
export function latencyChart(part: LatencyPart, logarithmic = false): string {
  const lines = new Map<string, { x: number; y: number; low: number; high: number }[]>();
  const likes = new Map<string, string>();
  for (const { system, dtype, shots, median, p10, p90 } of part.points) {
    if (shots === undefined) continue;
    const name = `${NAMES[system]}, ${dtype}`;
    if (system === 'hf') likes.set(name, `${NAMES.t5}, ${dtype}`);
    lines.set(name, [...(lines.get(name) ?? []), { x: shots, y: median, low: p10, high: p90 }]);
  }
  // A peer's line shares the colour of the engine's, which must be known first.
  const names = [...lines.keys()].sort((a, b) => Number(likes.has(a)) - Number(likes.has(b)));
  return lineChart({
    title: `Time of 100 examples, ${part.model}`,
    subtitle: 'SNI median lengths, 6 new tokens each, compiling included; bars: 10th to 90th percentile',
    xLabel: 'Few-shot examples in the instruction',
    yLabel: 'Seconds per 100 examples',
    logY: logarithmic,
    series: names.map((name) => {
      const like = likes.get(name);
      return { name, points: lines.get(name) ?? [], dashed: like !== undefined, ...(like && { like }) };
    }),
  });
}

function seconds(value: number): string {
  return value.toFixed(value < 0.995 ? 3 : 2);
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
