import { markdownTable } from '../util/markdown.js';
import { shownMarkdown } from '../util/shown.js';
import { median } from '../util/statistics.js';
import type { BackwardPlan } from '../model/memory/backward-plan.js';
import { energySentences, joulesWords } from './energy/meter.js';
import { momentSentence } from './machine.js';
import { measuredWords } from './peer-settings.js';
import type { MeasuredSystem, TrainingPart, TrainingSystem } from './training-run.js';

const NAMES: Readonly<Record<TrainingSystem, string>> = {
  hint: 'HINT, this engine',
  t5: 'plain T5, this engine',
  hf: 'plain T5, HF transformers',
  'hint-torch': 'HINT, PyTorch',
};

const AGAIN: Readonly<Record<BackwardPlan, string>> = {
  none: 'runs nothing again in the backward pass',
  modules: 'makes modules again in the backward pass (no useful work)',
  layers: 'runs layers again in the backward pass (no useful work)',
  both: 'runs layers and makes modules again in the backward pass (no useful work)',
};

/** The system of the engine that does the same work as each peer. */
const LIKE = { hf: 't5', 'hint-torch': 'hint' } as const;

/** Rates of one system over all steps of a run. */
export interface TrainingRates {
  readonly system: TrainingSystem;
  readonly examplesPerSecond: number;
  /** Tokens that are not padding. */
  readonly tokensPerSecond: number;
  /** Of the engine: FLOP/s of useful work, and as a share of the matrix product measured in turns with it, by every rank. */
  readonly flopsPerSecond?: number;
  readonly shareOfRoof?: number;
  /** Of 100 examples; absent where energy was not read. */
  readonly joulesPer100?: number;
  /** Examples per second over those of the peer that does the same. */
  readonly overPeer?: number;
}

/** @returns a row for every system that was measured */
export function trainingRates(part: TrainingPart): TrainingRates[] {
  const examplesPerSecond = ({ seconds }: MeasuredSystem): number =>
    (part.batchSize * seconds.length) / total(seconds);
  const roof = (part.ranks ?? 1) / median(part.samples.roof ?? [NaN]);
  return part.systems.map((measured) => {
    const { system, seconds, flops } = measured;
    const reads = system === 'hint' || system === 'hint-torch' ? 'hint' : 't5';
    const flopsPerSecond = flops && total(flops) / total(seconds);
    const joules = part.energy?.joules[system];
    const peer = part.systems.find((other) => system === LIKE[other.system as keyof typeof LIKE]);
    return {
      system,
      examplesPerSecond: examplesPerSecond(measured),
      tokensPerSecond: total(part.usefulTokens.map((tokens) => tokens[reads])) / total(seconds),
      ...(flopsPerSecond !== undefined && { flopsPerSecond, shareOfRoof: flopsPerSecond / roof }),
      ...(joules && { joulesPer100: (100 * total(joules)) / (part.batchSize * joules.length) }),
      ...(peer && { overPeer: examplesPerSecond(measured) / examplesPerSecond(peer) }),
    };
  });
}

/** A run as Markdown, without a heading of its own. */
export function trainingMarkdown(part: TrainingPart): string {
  const { lengths, systems } = part;
  const measured = trainingRates(part);
  const hasEnergy = measured.some(({ joulesPer100 }) => joulesPer100 !== undefined);
  const rows = measured.map((rates, i) => {
    const { peakBytes, lagP99, usefulShare } = systems[i] as MeasuredSystem;
    return [
      NAMES[rates.system],
      rates.examplesPerSecond.toPrecision(3),
      rates.tokensPerSecond.toFixed(0),
      usefulShare === undefined ? '' : `${percent(1 - usefulShare)} of its tokens`,
      rates.flopsPerSecond === undefined ? '' : `${(rates.flopsPerSecond / 1e9).toFixed(0)} GFLOP/s`,
      rates.shareOfRoof === undefined ? '' : percent(rates.shareOfRoof),
      rates.overPeer === undefined ? '' : `${rates.overPeer.toFixed(2)}×`,
      ...(hasEnergy ? [rates.joulesPer100 === undefined ? '' : joulesWords(rates.joulesPer100)] : []),
      peakBytes === undefined ? '' : `${(peakBytes / 2 ** 30).toFixed(2)} GiB`,
      lagP99 === undefined ? '' : `${lagP99.toFixed(1)} ms`,
    ];
  });
  const head = ['system', 'examples/s', 'useful tokens/s', 'padding', 'useful work', 'of the roof', 'over its peer', ...(hasEnergy ? ['J per 100 examples'] : []), 'memory', 'lag p99']; // prettier-ignore
  return [
    momentSentence(part),
    `Forward, backward and Adafactor of every parameter on ${part.rounds} batch${part.rounds === 1 ? '' : 'es'} of ${part.batchSize} examples of ${part.tasks} tasks, on ${part.device}${part.ranks === undefined ? '' : ` by ${part.ranks} ranks together, the memory, lag and products being those of rank 0`}; lengths log-normal around the medians of Super-NaturalInstructions (${lengths.fullMedian} with the instruction, ${lengths.instanceMedian} and ${lengths.instructionMedian} apart; sigma ${lengths.sigma}, at most ${lengths.inputMost}), targets around ${lengths.targetMedian}. Plain T5 reads the instruction with every input, HINT once a task. ${settingsOf(part)} roof is a large ${part.computeDtype ? `${part.computeDtype} ` : ''}matrix product in turns with the steps: ${(1e-9 / median(part.samples.roof ?? [NaN])).toFixed(0)} GFLOP/s.`,
    markdownTable(head, rows).join('\n'),
    ...energySentences(part.energy, '100 examples'),
    ...peerSentences(part),
  ].join('\n\n');
}

/**
 * The engine's settings as a clause that ends with the word "roof". Results of older versions lack some of them, which
 * are left out.
 */
function settingsOf(part: Partial<TrainingPart>): string {
  const { computeDtype, paramDtype, runAgain } = part;
  const told = [
    ...(computeDtype ? [`computes in ${computeDtype}`] : []),
    ...(paramDtype ? [`keeps weights in ${paramDtype}`] : []),
    ...(runAgain ? [AGAIN[runAgain]] : []),
  ];
  if (told.length === 0) return 'The';
  return `This engine ${told.join(', ').replace(/, ([^,]*)$/, ' and $1')}; the`;
}

function peerSentences({ systems, skipped, peerBatch, autocast }: TrainingPart): string[] {
  const there = systems.flatMap(({ system, peer, setting }) => {
    if (!peer) return [];
    // Older results had one setting for all peers.
    const how = setting
      ? `; fastest of ${setting.tried} settings with ${measuredWords(setting)}${setting.failed.length === 0 ? '' : ` (left out: ${setting.failed.join('; ')})`}`
      : `; ${peerBatch} examples at a time, bf16 autocast ${autocast === 'bf16' ? 'on' : 'off'}`;
    return [
      shownMarkdown(`${NAMES[system]}: transformers ${peer.transformers} on torch ${peer.torch}${how}.`),
    ];
  });
  return [
    ...there,
    ...Object.entries(skipped).map(([system, why]) =>
      shownMarkdown(`${NAMES[system as TrainingSystem]} was left out: ${why}`),
    ),
  ];
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
