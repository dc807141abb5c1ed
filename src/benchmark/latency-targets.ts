import { sizedConfig, sizeTitle } from '../model/config/sizes.js';
import { parameterCount } from '../model/parameters/parameter-shapes.js';
import { slope } from '../util/statistics.js';
import type { LatencyPart, LatencyPoint, LatencySystem } from './latency-run.js';

/** Names of systems in reports. */
export const NAMES: Readonly<Record<LatencySystem, string>> = {
  hint: 'HINT',
  t5: 'plain T5',
  decoder: 'cached decoder-only',
  hf: 'HF T5',
  ctranslate2: 'CTranslate2 T5',
  onnx: 'ONNX T5',
};

/** What the targets are set for. */
export const TARGETS_ARE_OF = `the shape of ${sizeTitle('base')} with 100 examples`;
const TARGETED_EXAMPLES = 100;

/** When a peer's seconds per token grow by more than this factor with length, the report says so. */
const MOST_GROWTH = 1.3;

/** How the seconds per token of a system grow with the input's length. */
export interface Growth {
  /** Seconds an input token, over those at the shortest input that was measured. */
  readonly seconds: number;
  /** The same ratio of FLOPs, which the longer input explains; NaN in results of older versions. */
  readonly flops: number;
  readonly from: number;
  readonly to: number;
}

/** A ratio that is a target of the engine. */
export interface LatencyTarget {
  readonly name: string;
  /** `least`: at or above the limit is reached; `most`: at or below. */
  readonly kind: 'least' | 'most';
  readonly limit: number;
  readonly measured: number;
  readonly reached: boolean;
  /** A remark about the peer that a reader of the ratio needs. */
  readonly note?: string;
}

type At = (system: LatencySystem, shots: number | undefined, dtype?: string) => LatencyPoint | undefined;
type Add = (
  name: string,
  kind: LatencyTarget['kind'],
  limit: number,
  measured: number | undefined,
  peer?: LatencyPoint,
) => void;

/** Whether the targets are set for what a run measured: another shape or number of examples gives other ratios. */
export function isTargeted({ parameters, examples }: LatencyPart): boolean {
  return examples === TARGETED_EXAMPLES && parameters.t5 === parameterCount(sizedConfig('base'));
}

/** The targets that a run measured, as ratios of medians; none where {@link isTargeted} is false. */
export function latencyTargets(part: LatencyPart): LatencyTarget[] {
  if (!isTargeted(part)) return [];
  const { points } = part;
  const targets: LatencyTarget[] = [];
  const add: Add = (name, kind, limit, measured, peer) => {
    if (measured === undefined || !Number.isFinite(measured)) return;
    const growth = peer && growthOf(points, peer);
    const reached = kind === 'least' ? measured >= limit : measured <= limit;
    const note = growth && growth.seconds > MOST_GROWTH ? growthSentence(growth) : undefined;
    targets.push({ name, kind, limit, measured, reached, ...(note !== undefined && { note }) });
  };
  const at: At = (system, shots, dtype) =>
    fastest(
      points.filter(
        (point) =>
          point.system === system && point.shots === shots && (dtype === undefined || point.dtype === dtype),
      ),
    );
  addHintTargets(add, at);
  addPlainTargets(add, at);
  addOwnTargets(add, at, part);
  return targets;
}

/** Adds targets of HINT, in its fastest dtype, against plain T5 in peers. */
function addHintTargets(add: Add, at: At): void {
  for (const [shots, dtype, limit] of [
    [0, 'f32', 13],
    [5, 'f32', 23],
    [0, 'bf16', 5],
    [5, 'bf16', 9],
  ] as const) {
    const [peer, hint] = [at('hf', shots, dtype), at('hint', shots)];
    const where = peer ? `${peer.inputTokens} tokens` : '';
    add(`HINT in ${hint?.dtype} against HF in ${dtype}, ${shots} shots (${where})`, 'least', limit, ratio(peer, hint), peer); // prettier-ignore
  }
  for (const [shots, limit] of [
    [0, 2.6],
    [5, 5],
  ] as const) {
    const peer = at('ctranslate2', shots, 'int8');
    add(`HINT against CTranslate2, both int8, ${shots} shots`, 'least', limit, ratio(peer, at('hint', shots, 'int8')), peer); // prettier-ignore
  }
}

function addPlainTargets(add: Add, at: At): void {
  for (const [dtype, limit] of [
    ['f32', 1.3],
    ['bf16', 1.8],
  ] as const) {
    const peer = at('hf', 0, dtype);
    add(`plain T5 against HF, both ${dtype}, 0 shots`, 'least', limit, ratio(peer, at('t5', 0, dtype)), peer);
  }
  for (const [dtype, limit] of [
    ['f32', 1.2],
    ['int8', 1.3],
  ] as const) {
    for (const shots of [0, 5]) {
      const peer = at('ctranslate2', shots, dtype);
      add(`plain T5 against CTranslate2, both ${dtype}, ${shots} shots`, 'least', limit, ratio(peer, at('t5', shots, dtype)), peer); // prettier-ignore
    }
  }
}

/** Adds targets within this engine. */
function addOwnTargets(add: Add, at: At, { points, dtypes }: LatencyPart): void {
  for (const system of ['hint', 't5'] as const)
    add(`${NAMES[system]} in int8 against bf16, 0 shots`, 'least', 1.5, ratio(at(system, 0, 'bf16'), at(system, 0, 'int8'))); // prettier-ignore
  for (const dtype of dtypes) {
    const [hintRise, plainRise] = [slopeOf(points, 'hint', dtype), slopeOf(points, 't5', dtype)];
    // Where noise makes more shots cheaper, the ratio would be negative and count as reached.
    const risen = hintRise >= 0 && plainRise > 0 ? hintRise / plainRise : undefined;
    add(`seconds that a shot adds, HINT over plain T5, ${dtype}`, 'most', 1 / 20, risen);
    const hint = at('hint', 0, dtype);
    const bare = at('t5', undefined, dtype);
    if (!hint || !bare) continue;
    const generating = hint.median - (hint.compileSeconds ?? 0);
    add(`compiled HINT over plain T5 without instruction, ${dtype}`, 'most', 1.12, generating / bare.median);
  }
}

/** How a peer's seconds per token grow up to this length; undefined when no shorter one was measured. */
export function growthOf(points: readonly LatencyPoint[], point: LatencyPoint): Growth | undefined {
  const shortest = points
    .filter(
      ({ system, dtype, shots }) => system === point.system && dtype === point.dtype && shots !== undefined,
    )
    .sort((a, b) => a.inputTokens - b.inputTokens)[0];
  if (!shortest || shortest.inputTokens >= point.inputTokens) return undefined;
  const grows = (a: number | undefined, b: number | undefined): number =>
    ((b ?? NaN) / point.inputTokens) / ((a ?? NaN) / shortest.inputTokens); // prettier-ignore
  return {
    seconds: grows(shortest.median, point.median),
    flops: grows(shortest.flopsPerExample, point.flopsPerExample),
    from: shortest.inputTokens,
    to: point.inputTokens,
  };
}

/** Growth in words, for a table next to a ratio. */
export function growthSentence({ seconds, flops, from, to }: Growth): string {
  const work = Number.isFinite(flops) ? `, its work ${flops.toFixed(2)}×` : '';
  return `the peer's seconds a token grow ${seconds.toFixed(2)}× from ${from} to ${to} tokens${work}`;
}

/** Seconds that a shot adds; NaN where fewer than two were measured. */
function slopeOf(points: readonly LatencyPoint[], system: LatencySystem, dtype: string): number {
  const line = points.filter((point) => point.system === system && point.dtype === dtype);
  return slope(line.flatMap(({ shots, median }) => (shots === undefined ? [] : [{ x: shots, y: median }])));
}

function fastest(points: readonly LatencyPoint[]): LatencyPoint | undefined {
  return [...points].sort((a, b) => a.median - b.median)[0];
}

function ratio(over: LatencyPoint | undefined, under: LatencyPoint | undefined): number | undefined {
  return over && under && over.median / under.median;
}
