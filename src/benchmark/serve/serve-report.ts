import { sizeTitle } from '../../model/config/sizes.js';
import { markdownTable } from '../../util/markdown.js';
import { lineChart } from '../../util/plot/charts.js';
import { shownMarkdown } from '../../util/shown.js';
import { EQUAL_WORK } from '../equal-work.js';
import { momentSentence } from '../machine.js';
import { measuredWords } from '../peer-settings.js';
import {
  COMPARED_SHARE,
  type OpenPoint,
  type ServedSystem,
  type ServePart,
  type ServeSystem,
} from './serve-run.js';

const TITLES: Readonly<Record<ServeSystem, string>> = {
  hint: 'HINT',
  hf: 'HF behind FastAPI',
  'hint-long': 'HINT, long instructions',
  'decoder-long': 'decoder-only, long instructions',
};

/** A ratio that is a target of the server, set for the T5-base shape. */
export interface ServeTarget {
  readonly name: string;
  /** `least`: at or above the limit is reached; `most`: at or below. */
  readonly kind: 'least' | 'most';
  readonly limit: number;
  readonly unit: '×' | 'ms';
  readonly measured: number;
  readonly reached: boolean;
}

/** Whether the targets are set for the shape that a run measured. */
export function isTargeted({ model }: ServePart): boolean {
  return model === sizeTitle('base');
}

/** The targets that a run measured; none where {@link isTargeted} is false. */
export function serveTargets(part: ServePart): ServeTarget[] {
  if (!isTargeted(part)) return [];
  const { served, gaps } = part;
  const targets: ServeTarget[] = [];
  const add = (
    name: string,
    kind: ServeTarget['kind'],
    limit: number,
    measured: number,
    unit: ServeTarget['unit'] = '×',
  ): void => {
    const reached = kind === 'least' ? measured >= limit : measured <= limit;
    targets.push({ name, kind, limit, measured, unit, reached });
  };
  const of = (system: ServeSystem): ServedSystem[] => served.filter((one) => one.system === system);
  const [hint] = of('hint');
  const peers = of('hf').sort((a, b) => b.rate - a.rate);
  const [fastest] = peers;
  const f32 = peers.find(({ dtype }) => dtype === 'f32');
  if (hint && f32) add('requests/s, HINT over HF in f32', 'least', 8, hint.rate / f32.rate);
  if (hint && fastest) {
    add(
      `requests/s, HINT over HF in its faster dtype (${fastest.dtype})`,
      'least',
      4,
      hint.rate / fastest.rate,
    );
    const compared = [compared70(hint), compared70(fastest)] as const;
    add(
      "at 70 % of each one's largest rate, HINT's p99 over HF's p50",
      'most',
      1,
      compared[0].p99 / compared[1].p50,
    );
  }
  const [long] = of('hint-long');
  const [decoder] = of('decoder-long');
  if (long && decoder)
    add(
      'requests/s at long instructions, HINT over decoder-only, both f32',
      'least',
      2,
      long.rate / decoder.rate,
    );
  if (gaps)
    add(
      "what compiling adds to the longest wait for other streams' tokens",
      'most',
      50,
      gaps.compiling - gaps.quiet,
      'ms',
    );
  return targets;
}

function compared70({ open }: ServedSystem): OpenPoint {
  return open.find(({ share }) => share === COMPARED_SHARE)!;
}

/** A run as Markdown, without a heading of its own. */
export function serveMarkdown(part: ServePart): string {
  const { model, adapterSize, outputTokens, seconds, rounds, threads, served, gaps, skipped } = part;
  const rows = served.map((one) => {
    const { p50, p99 } = compared70(one);
    return [
      `${TITLES[one.system]}, ${one.dtype}`,
      one.tasks ?? '',
      one.instructionTokens === undefined
        ? one.inputTokens
        : `${one.inputTokens} + ${one.instructionTokens} once`,
      one.rate.toPrecision(3),
      one.clients,
      milliseconds(p50),
      milliseconds(p99),
      one.compileSeconds === undefined ? '' : milliseconds(one.compileSeconds),
      `${(100 * one.clientShare).toFixed(1)} %`,
      `${(one.residentBytes / 2 ** 30).toFixed(1)} GiB`,
    ];
  });
  const head = ['system', 'tasks', 'tokens a request', 'requests/s', 'clients', 'p50 at 70 %', 'p99 at 70 %', 'compiling', "client's CPU", 'memory']; // prettier-ignore
  const targets = serveTargets(part).map(({ name, kind, limit, unit, measured, reached }) => [
    name,
    `${kind === 'least' ? '≥' : '≤'} ${limit}${unit === 'ms' ? ' ms' : unit}`,
    unit === 'ms' ? `${measured.toFixed(0)} ms` : `${measured.toFixed(2)}×`,
    reached ? 'reached' : { markdown: '**missed**' },
  ]);
  return [
    momentSentence(part),
    `${model} with random weights, HINT with adapters of ${adapterSize}, ${threads} threads each, exactly ${outputTokens} new tokens a request. Tasks are drawn by Zipf's law. Each server is a process, the client another, whose share of all cores is told. Requests/s: the largest with clients that ask again as soon as they have their answer, median of ${rounds} round${rounds === 1 ? '' : 's'} of ${seconds} s in turns. At 70 % of that, requests come at random (Poisson), and their time counts from when they were due.`,
    markdownTable(head, rows).join('\n'),
    ...served.flatMap(({ name, peer, setting }) =>
      peer && setting
        ? [
            shownMarkdown(
              `${name}: transformers ${peer['transformers']} on torch ${peer['torch']}, fastapi ${peer['fastapi']}, uvicorn ${peer['uvicorn']}; what has arrived is a batch; fastest of ${setting.tried} settings with ${measuredWords(setting)}${setting.failed.length === 0 ? '' : ` (left out: ${setting.failed.join('; ')})`}. It is given token ids, this engine's servers texts.`,
            ),
          ]
        : [],
    ),
    ...equalWork(served),
    ...(gaps
      ? [
          `Streams of 4 requests: the longest wait for a token was ${gaps.quiet.toFixed(0)} ms, and ${gaps.compiling.toFixed(0)} ms while instructions were compiled, ${milliseconds(gaps.compileSeconds)} each.`,
        ]
      : []),
    ...Object.entries(skipped).map(([system, why]) => shownMarkdown(`${system} was left out: ${why}`)),
    ...(isTargeted(part) ? [] : [`No targets are told: they are set for the shape of ${sizeTitle('base')}.`]),
    ...(targets.length === 0
      ? []
      : [markdownTable(['target (base shape)', 'to reach', 'measured', ''], targets).join('\n')]),
  ].join('\n\n');
}

function equalWork(served: readonly ServedSystem[]): string[] {
  const [long] = served.filter(({ system }) => system === 'hint-long');
  const [decoder] = served.filter(({ system }) => system === 'decoder-long');
  if (!long?.flopsPerRequest || !decoder?.flopsPerRequest) return [];
  const gigaflops = (flops: number): string => `${(flops / 1e9).toFixed(1)} GFLOP`;
  return [
    `${EQUAL_WORK}; its prefix cache holds the instruction's keys and values. A request takes ${gigaflops(decoder.flopsPerRequest)} there and ${gigaflops(long.flopsPerRequest)} in HINT, attention to the instruction and the new tokens included.`,
  ];
}

function milliseconds(seconds: number): string {
  return `${(1000 * seconds).toFixed(0)} ms`;
}

/** Latency over load as SVG: p50 and p99 of every system. */
export function serveChart(part: ServePart): string {
  return lineChart({
    title: `Latency over load, ${part.model}`,
    xLabel: 'requests per second',
    yLabel: 'seconds',
    logX: true,
    logY: true,
    series: part.served.flatMap(({ system, dtype, open }) => {
      const name = `${TITLES[system]}, ${dtype}`;
      return [
        { name: `${name}, p50`, points: open.map(({ rate, p50 }) => ({ x: rate, y: p50 })) },
        {
          name: `${name}, p99`,
          like: `${name}, p50`,
          dashed: true,
          points: open.map(({ rate, p99 }) => ({ x: rate, y: p99 })),
        },
      ];
    }),
  });
}
