import { markdownTable } from '../../util/markdown.js';
import { shownMarkdown } from '../../util/shown.js';
import { median } from '../../util/statistics.js';
import { momentSentence } from '../machine.js';
import { measuredWords } from '../peer-settings.js';
import { estimatedStep } from './link.js';
import type { EngineScaling, EngineSystem, ScalingPart } from './scaling-run.js';

const NAMES: Readonly<Record<EngineSystem, string>> = {
  hint: 'HINT, this engine',
  t5: 'plain T5, this engine',
};

/** Rates of one system of the engine; of rounds, the median. */
export interface ScalingRates {
  readonly system: EngineSystem;
  readonly examplesPerSecond: number;
  /** Of what the ranks take over what one process takes: examples/s. */
  readonly overAlone: number;
  /** Of examples/s of processes that do not know of each other, 0–1. */
  readonly efficiency: number;
  /** Of a step, 0–1. */
  readonly exposedShare: number;
  readonly communicationShare: number;
  /** What the α–β model makes of the processes apart and the measured link, over what was measured. */
  readonly estimateOverMeasured?: number;
  /** Examples/s over those of the peer, where it was measured and does the same work. */
  readonly overPeer?: number;
}

/** @returns a row for every system of the engine */
export function scalingRates({ engine, peers, batchSize, ranks, parameters }: ScalingPart): ScalingRates[] {
  return engine.map((system) => {
    const { together, alone, apart, link } = system;
    const count = parameters[system.system];
    const ratio = (of: readonly number[]): number =>
      median(of.map((seconds, round) => seconds / together[round]!));
    const [ddp] = peers;
    return {
      system: system.system,
      examplesPerSecond: batchSize / median(together),
      overAlone: ratio(alone),
      efficiency: median(
        apartRates(system, batchSize / ranks).map((rate, i) => batchSize / together[i]! / rate),
      ),
      exposedShare: ratio(system.exposed),
      communicationShare: ratio(system.communication),
      ...(link && {
        // Ranks wait for the slowest.
        estimateOverMeasured:
          median(together) /
          estimatedStep(median(apart.map((all) => Math.max(...all))), count as number, link),
      }),
      ...(ddp && system.system === 't5' && { overPeer: ratio(ddp.together) }),
    };
  });
}

/** Examples/s of all processes apart, by round. */
function apartRates({ apart }: EngineScaling, examples: number): number[] {
  return apart.map((all) => all.reduce((sum, seconds) => sum + examples / seconds, 0));
}

/** A run as Markdown, without a heading of its own. */
export function scalingMarkdown(part: ScalingPart): string {
  const { ranks, rounds, batchSize, tasks, tokenBudget, peers, skipped } = part;
  const rows = scalingRates(part).map((rates) => [
    NAMES[rates.system],
    rates.examplesPerSecond.toPrecision(3),
    `${rates.overAlone.toFixed(2)}×`,
    percent(rates.efficiency),
    percent(rates.communicationShare),
    percent(rates.exposedShare),
    rates.estimateOverMeasured === undefined ? '' : `${rates.estimateOverMeasured.toFixed(2)}×`,
    rates.overPeer === undefined ? '' : `${rates.overPeer.toFixed(2)}×`,
  ]);
  const head = ['system', 'examples/s', 'over one process', 'of processes apart', 'communication', 'exposed', 'estimate', 'over DDP']; // prettier-ignore
  return [
    momentSentence(part),
    `Forward, backward and Adafactor of every parameter, ${rounds} step${rounds === 1 ? '' : 's'} of ${batchSize} examples of ${tasks} tasks by ${ranks} ranks of one thread each on one host, in microbatches of at most ${tokenBudget} tokens; random weights. "Over one process": one thread takes the whole batch. "Of processes apart": ${ranks} processes of one thread that do not know of each other take a part of the batch each at the same time. Communication and what of it is exposed, in which rank 0 computes nothing, are shares of its step. "Estimate" is what an α–β model makes of the examples/s, over what was measured: the slowest process apart, then the sums of all gradients and the way of all weights at the rates of the ranks' link, measured before. All in turns, medians.`,
    markdownTable(head, rows).join('\n'),
    ...peers.map(({ together, peer, setting }) =>
      shownMarkdown(
        `Plain T5 under DistributedDataParallel (gloo), ${ranks} processes of one thread: ${(batchSize / median(together)).toPrecision(3)} examples/s; transformers ${peer['transformers']} on torch ${peer['torch']}; fastest of ${setting.tried} settings with ${measuredWords(setting)}${setting.failed.length === 0 ? '' : ` (left out: ${setting.failed.join('; ')})`}.`,
      ),
    ),
    ...Object.entries(skipped).map(([system, why]) => shownMarkdown(`${system} was left out: ${why}`)),
  ].join('\n\n');
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
