import { meanInterval } from '../util/confidence.js';
import { withoutRounding } from '../util/rounding.js';
import { placesOf, type Claim, type Place } from './claim.js';
import type { CellOutcome, GridResult } from './runner.js';

/**
 * What became of a claim. `holds` and `does not hold`: for the 95 % confidence interval of the mean over at least three seeds; `within the
 * spread`: that interval has both. With fewer seeds it is `too few seeds`; `not run`: a side of it is missing.
 */
export type Verdict = 'holds' | 'does not hold' | 'within the spread' | 'too few seeds' | 'not run';

/** Whether something that the paper says shows here. */
export interface ClaimOutcome {
  readonly says: string;
  readonly where: string;
  readonly kind: Claim['kind'];
  /** What the scores are compared for; undefined where all starting models are. */
  readonly model?: string;
  readonly verdict: Verdict;
  /** What is claimed to be more than the limit (at most it, of `near` and `cost`), mean over seeds; undefined where it was not run. */
  readonly value?: number;
  /** Half the width of the 95 % interval of `value`, from two seeds on. */
  readonly halfWidth?: number;
  readonly limit: number;
  readonly unit: 'points' | '%';
  /** Seeds in which it shows, of those that have both sides. */
  readonly seedsFor: number;
  readonly seeds: number;
}

const FEWEST_SEEDS = 3;

/** The claims of a grid that are about what was planned, for each starting model, or once where models are what is compared. */
export function claimsOf({ grid, cells }: Pick<GridResult, 'grid' | 'cells'>): ClaimOutcome[] {
  const models = [...new Set(cells.map(({ model }) => model))];
  const isPlanned = (claim: Claim, model: string): boolean => {
    const [first] = placesOf(claim);
    return first !== undefined && cells.some((one) => one.model === model && isAt(one, first));
  };
  const ofModels = models.flatMap((model) =>
    grid.claims
      .filter((claim) => claim.kind !== 'atEqualCost' && isPlanned(claim, model))
      .map((claim) => ({
        ...outcomeOf(
          claim,
          placesOf(claim).flatMap((place) => sideOf(place, model, cells)),
        ),
        model,
      })),
  );
  const ofAll = grid.claims
    .filter((claim) => claim.kind === 'atEqualCost' && cells.some(({ cell }) => cell.row === claim.row))
    .map((claim) => outcomeOf(claim, cells));
  return [...ofModels, ...ofAll];
}

/** The cells of one side of a claim: those of the model, or of the only other that the row is of, as a decoder-only baseline. */
function sideOf(place: Place, model: string, cells: readonly CellOutcome[]): CellOutcome[] {
  const all = cells.filter((one) => isAt(one, place));
  const own = all.filter((one) => one.model === model);
  const isOfOne = all.every((one) => one.model === all[0]?.model);
  return own.length === 0 && isOfOne ? all : own;
}

function isAt({ cell }: CellOutcome, [row, column]: Place): boolean {
  return cell.row === row && cell.column === column;
}

function outcomeOf(claim: Claim, cells: readonly CellOutcome[]): ClaimOutcome {
  const { says, where, kind } = claim;
  const seeds = [...new Set(cells.map(({ seed }) => seed))];
  const values = seeds.flatMap((seed) => {
    const value = valueOf(
      claim,
      cells.filter((one) => one.seed === seed && one.result),
    );
    return value === undefined ? [] : [withoutRounding(value)];
  });
  const [limit, isUpper] = limitOf(claim);
  const beyond = values.map((value) => (isUpper ? limit - value : value - limit));
  const shows = (excess: number): boolean => (isUpper ? excess >= 0 : excess > 0);
  const { mean, halfWidth } = meanInterval(values);
  return {
    says,
    where,
    kind,
    verdict: verdictOf(beyond, shows),
    ...(values.length > 0 && { value: mean }),
    ...(halfWidth !== undefined && { halfWidth }),
    limit,
    unit: kind === 'gain' || kind === 'cost' || kind === 'atEqualCost' ? '%' : 'points',
    seedsFor: beyond.filter(shows).length,
    seeds: values.length,
  };
}

function verdictOf(beyond: readonly number[], shows: (excess: number) => boolean): Verdict {
  if (beyond.length === 0) return 'not run';
  if (beyond.length < FEWEST_SEEDS) return 'too few seeds';
  const { mean, halfWidth = 0 } = meanInterval(beyond);
  if (shows(mean - halfWidth)) return 'holds';
  return shows(mean + halfWidth) ? 'within the spread' : 'does not hold';
}

/** @returns the limit, and whether the value must not exceed it */
function limitOf(claim: Claim): [limit: number, isUpper: boolean] {
  switch (claim.kind) {
    case 'above':
      return [claim.margin ?? 0, false];
    case 'abovePrinted':
    case 'largerGain':
      return [0, false];
    case 'near':
      return [claim.points, true];
    case 'gain':
    case 'atEqualCost':
      return [claim.percent, false];
    case 'cost':
      return [claim.percent, true];
  }
}

/** What a claim is about, in one seed; undefined where a side is missing. */
function valueOf(claim: Claim, cells: readonly CellOutcome[]): number | undefined {
  if (claim.kind === 'atEqualCost') return equalCostGain(claim, cells);
  const sides = placesOf(claim).map((place) => cells.find((one) => isAt(one, place)));
  const [first, second, third, fourth] = sides.map((side) => side?.result);
  if (!first) return undefined;
  if (claim.kind === 'abovePrinted') {
    const printed = sides[0]?.size && claim.printed[sides[0].size];
    return printed === undefined ? undefined : first.score - printed;
  }
  if (!second) return undefined;
  switch (claim.kind) {
    case 'above':
      return first.score - second.score;
    case 'near':
      return Math.abs(first.score - second.score);
    case 'gain':
      return percentOver(first.score, second.score);
    case 'largerGain':
      return third && fourth && first.score - second.score - (third.score - fourth.score);
    case 'cost': {
      const [cost, other] = [first.flopsPer100, second.flopsPer100];
      return cost === undefined || other === undefined ? undefined : percentOver(cost, other);
    }
  }
}

interface Point {
  readonly flops: number;
  readonly score: number;
}

function equalCostGain(
  { row, over }: { readonly row: string; readonly over: string },
  cells: readonly CellOutcome[],
): number | undefined {
  const pointsOf = (name: string): Point[] =>
    cells.flatMap(({ cell, result }) =>
      cell.row === name && result?.flopsPer100 !== undefined
        ? [{ flops: result.flopsPer100, score: result.score }]
        : [],
    );
  const front = paretoFront(pointsOf(over));
  const gains = pointsOf(row).flatMap(({ flops, score }) => {
    const other = interpolated(front, flops);
    return other === undefined ? [] : (percentOver(score, other) ?? []);
  });
  return gains.length === 0 ? undefined : gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
}

/** The points that no cheaper one scores as much as, the cheapest first. */
function paretoFront(points: readonly Point[]): Point[] {
  const front: Point[] = [];
  for (const point of [...points].sort((a, b) => a.flops - b.flops || b.score - a.score))
    if (point.score > (front.at(-1)?.score ?? -Infinity)) front.push(point);
  return front;
}

/** Linear in the logarithm of FLOPs; undefined for fewer or more FLOPs than all have. */
function interpolated(front: readonly Point[], flops: number): number | undefined {
  const after = front.findIndex((point) => point.flops >= flops);
  const [low, high] = [front[after - 1], front[after]];
  if (!high) return undefined;
  if (!low) return high.flops === flops ? high.score : undefined;
  const share = Math.log(flops / low.flops) / Math.log(high.flops / low.flops);
  return low.score + share * (high.score - low.score);
}

/** Undefined of a base of 0, which nothing is a percentage of. */
function percentOver(value: number, base: number): number | undefined {
  return base === 0 ? undefined : (100 * value) / base - 100;
}
