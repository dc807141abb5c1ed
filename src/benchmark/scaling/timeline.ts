import { lanesSvg } from '../../util/plot/lanes.js';
import type { RankTimeline } from './scaling-steps.js';

/** What a rank does for a while, in milliseconds from the beginning of the step. */
export interface TimelineBlock {
  readonly kind: 'compute' | 'communication' | 'exposed';
  /** Of communication: what the ranks do, as in "sum the gradients of step 3". */
  readonly what?: string;
  readonly from: number;
  readonly to: number;
}

/** What a rank does in a step, in order. */
export interface RankBlocks {
  readonly rank: number;
  /** Computing, and waits for communication. */
  readonly compute: readonly TimelineBlock[];
  /** Communication, beside the above. */
  readonly communication: readonly TimelineBlock[];
}

/** The blocks of a step, by rank. */
export function timelineBlocks(timelines: readonly RankTimeline[]): RankBlocks[] {
  const zero = Math.min(...timelines.map(({ begin }) => begin));
  const at = (seconds: number): number => (seconds - zero) * 1000;
  return timelines.map(({ rank, begin, end, intervals }) => {
    // What a rank learned before the step may be noted down after it has begun.
    const inStep = intervals.filter((one) => one.begin >= begin && one.begin < end);
    const exposed = inStep.filter(({ isExposed }) => isExposed);
    const compute: TimelineBlock[] = [];
    let from = begin;
    for (const wait of exposed) {
      if (wait.begin > from) compute.push({ kind: 'compute', from: at(from), to: at(wait.begin) });
      compute.push({ kind: 'exposed', from: at(wait.begin), to: at(wait.end) });
      from = wait.end;
    }
    if (end > from) compute.push({ kind: 'compute', from: at(from), to: at(end) });
    const communication = inStep
      .filter(({ isExposed }) => !isExposed)
      .map((one): TimelineBlock => ({
        kind: 'communication',
        what: one.what,
        from: at(one.begin),
        to: at(one.end),
      }));
    return { rank, compute, communication };
  });
}

/** A step as a picture: of each rank, what it computes and what it communicates meanwhile. */
export function timelineSvg(ranks: readonly RankBlocks[], title: string): string {
  return lanesSvg({
    title,
    xLabel: 'milliseconds',
    kinds: ['compute', 'communication', 'exposed'],
    lanes: ranks.flatMap(({ rank, compute, communication }) => [
      { name: `rank ${rank}`, blocks: compute },
      { name: 'communication', blocks: communication },
    ]),
  });
}
