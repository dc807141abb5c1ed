import { markdownTable } from '../util/markdown.js';
import { lineChart } from '../util/plot/charts.js';
import { shownMarkdown } from '../util/shown.js';
import { GENERATING_PEERS, type LatencyPart, type LatencyPoint } from './latency-run.js';
import { growthOf, isTargeted, latencyTargets, NAMES, TARGETS_ARE_OF } from './latency-targets.js';
import { energySentences, joulesWords } from './energy/meter.js';
import { EQUAL_WORK } from './equal-work.js';
import { breakEvenMarkdown } from './break-even-report.js';
import { momentSentence } from './machine.js';
import { measuredWords } from './peer-settings.js';

/** A run as Markdown, without a heading of its own. */
export function latencyMarkdown(part: LatencyPart): string {
  const { points, rounds, examples, outputTokens, shots } = part;
  const hasEnergy = points.some(({ joules }) => joules !== undefined);
  const rows = points.map((point) => [
    `${NAMES[point.system]}, ${point.dtype}`,
    point.shots ?? 'no instruction',
    point.instructionTokens === undefined
      ? point.inputTokens
      : `${point.inputTokens} + ${point.instructionTokens} once`,
    seconds(point.median),
    `${seconds(point.p10)}–${seconds(point.p90)}`,
    point.compileSeconds === undefined ? '' : seconds(point.compileSeconds),
    ...(hasEnergy ? [point.joules === undefined ? '' : joulesWords(point.joules)] : []),
    point.eventLoopLag ? `${point.eventLoopLag.p99.toFixed(1)} ms` : '',
    gibibytes(point.memoryBytes),
  ]);
  const targets = latencyTargets(part).map(({ name, kind, limit, measured, reached, note }) => [
    name,
    `${kind === 'least' ? '≥' : '≤'} ${limit.toFixed(2)}×`,
    `${measured.toFixed(measured < 0.1 ? 3 : 2)}×${note === undefined ? '' : ` (${note})`}`,
    reached ? 'reached' : { markdown: '**missed**' },
  ]);
  const columns = [
    'system',
    'shots',
    'tokens an input',
    's per 100',
    'p10–p90',
    'compiling',
    ...(hasEnergy ? ['J per 100'] : []),
    'lag p99',
    'memory',
  ];
  return [
    momentSentence(part),
    `${shownMarkdown(part.model)}, ${examples} examples of one task, ${outputTokens} greedy tokens each${part.device && part.device !== 'cpu' ? `, on ${part.device}` : ''}, median of ${rounds} round${rounds === 1 ? '' : 's'} in turns${examples === 100 ? '' : ', scaled to 100 examples'}; ${hintSentence(part)}${decoderSentence(part)}${peersSentence(part)}`,
    `Lengths are the medians of Super-NaturalInstructions: input 44, with the definition 133, with two examples 199; each further shot adds what these differ by, 33 tokens. HINT's instruction grows by its own medians (69, 197 with two examples: 64 a shot), so that it reads more than plain T5. The shots measured: ${shots.join(', ')}.`,
    markdownTable(columns, rows).join('\n'),
    ...settingsTable(points),
    ...breakEvenMarkdown(part),
    ...(isTargeted(part) ? [] : [`No targets are told: they are set for ${TARGETS_ARE_OF}.`]),
    ...(targets.length === 0
      ? []
      : [
          markdownTable(['target (base shape, 100 examples)', 'to reach', 'measured', ''], targets).join(
            '\n',
          ),
        ]),
    ...energySentences(part.energy, '100 examples'),
    `Memory: of the engine, weights as inference reads them and what a run took beside them at its peak; the parameters that they were made from, packed or rounded (${gibibytes(part.parameterBytes)}), come on top. Of peers: the resident process.`,
  ].join('\n\n');
}

function hintSentence({ adapterSize, points }: LatencyPart): string {
  return points.some(({ system }) => system === 'hint')
    ? `HINT has adapters of ${adapterSize}, and its compilation is included once. `
    : 'HINT was not measured. ';
}

function decoderSentence({ decoder }: LatencyPart): string {
  if (!decoder) return '';
  const { n_layer: layers, n_embd: width, n_inner: inner } = decoder.config;
  return `${EQUAL_WORK} (${layers as number} layers, width ${width as number}, feed-forward ${inner as number}, ${(decoder.parameters / 1e6).toFixed(0)} M parameters, f32); it reads the instruction that HINT reads, once a task (its compiling), and keeps its keys and values. `;
}

function peersSentence({ peers, hfBatch }: LatencyPart): string {
  const { hf, ctranslate2, onnx } = peers;
  const sentences: string[] = [];
  if (hf && 'skipped' in hf) sentences.push(shownMarkdown(`HF transformers was left out: ${hf.skipped}`));
  else if (hf) {
    // Older results had one setting for all.
    const batches = hfBatch === undefined ? '' : `, ${hf.attention} attention, batches of ${hfBatch}, the faster of 25 and 100 (or all) in f32`; // prettier-ignore
    sentences.push(
      shownMarkdown(
        `HF transformers ${hf.transformers} on torch ${hf.torch}, ${hf.threads} threads${batches}.`,
      ),
    );
  }
  if (ctranslate2 && 'skipped' in ctranslate2) sentences.push(shownMarkdown(`CTranslate2 was left out: ${ctranslate2.skipped}`)); // prettier-ignore
  else if (ctranslate2) sentences.push(shownMarkdown(`CTranslate2 ${ctranslate2.ctranslate2}, ${ctranslate2.threads} threads.`)); // prettier-ignore
  if (onnx) sentences.push(`ONNX Runtime through @xenova/transformers ${onnx.transformersJs}, ${onnx.weights} weights, one input at a time.`); // prettier-ignore
  return sentences.join(' ');
}

/** How each peer ran that was tried with every setting; empty in older results. */
function settingsTable(points: readonly LatencyPoint[]): string[] {
  const rows = points.flatMap((point) => {
    const { system, dtype, inputTokens, setting } = point;
    if (!setting) return [];
    const { tried, failed } = setting;
    const growth = growthOf(points, point);
    return [
      [
        `${NAMES[system]}, ${dtype}`,
        inputTokens,
        measuredWords(setting),
        `${tried}${failed.length === 0 ? '' : ` (${failed.length} did not work: ${failed[0]})`}`,
        growth === undefined ? '' : `${growth.seconds.toFixed(2)}×${Number.isFinite(growth.flops) ? ` (work ${growth.flops.toFixed(2)}×)` : ''}`, // prettier-ignore
      ],
    ];
  });
  if (rows.length === 0) return [];
  return [
    'Each peer ran at the setting that it was fastest with at that length and dtype, found in this run:',
    markdownTable(['peer', 'tokens an input', 'fastest with', 'settings tried', 'seconds a token, against its shortest input'], rows).join('\n'), // prettier-ignore
  ];
}

/** The paper's Figure 4: seconds per 100 examples by shots, a line per system and dtype. */
export function latencyChart(part: LatencyPart, logarithmic = false): string {
  const lines = new Map<string, { x: number; y: number; low: number; high: number }[]>();
  const likes = new Map<string, string>();
  for (const { system, dtype, shots, median, p10, p90 } of part.points) {
    if (shots === undefined) continue;
    const name = `${NAMES[system]}, ${dtype}`;
    if (GENERATING_PEERS.some((peer) => peer === system)) likes.set(name, `${NAMES.t5}, ${dtype}`);
    lines.set(name, [...(lines.get(name) ?? []), { x: shots, y: median, low: p10, high: p90 }]);
  }
  // The engine's lines come first, because a peer's line takes the colour of one.
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
