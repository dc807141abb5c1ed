import type { PaperSize } from './paper-size.js';

/** A cell of a table. */
export type Place = readonly [row: string, column: string];

/** What the paper says of scores, and where. Percentages are of the second place. */
export type Claim = {
  readonly says: string;
  /** The table, figure or part of the paper, as its readers name it. */
  readonly where: string;
} & (
  | {
      /** The first scores higher than the second, by more than `margin` points. */
      readonly kind: 'above';
      readonly above: Place;
      readonly below: Place;
      readonly margin?: number;
    }
  | {
      /** The two are at most so many points apart. */
      readonly kind: 'near';
      readonly place: Place;
      readonly to: Place;
      readonly points: number;
    }
  | {
      /** The score of the first is more than so many percent higher. */
      readonly kind: 'gain';
      readonly above: Place;
      readonly below: Place;
      readonly percent: number;
    }
  | {
      /** The first scores higher than what the paper prints of a model of the same size. */
      readonly kind: 'abovePrinted';
      readonly place: Place;
      readonly printed: Readonly<Partial<Record<PaperSize, number>>>;
    }
  | {
      /** The first of two places scores more above its second than another two do. */
      readonly kind: 'largerGain';
      readonly gain: readonly [above: Place, below: Place];
      readonly than: readonly [above: Place, below: Place];
    }
  | {
      /** The first takes at most so many percent more FLOPs. */
      readonly kind: 'cost';
      readonly place: Place;
      readonly over: Place;
      readonly percent: number;
    }
  | {
      /**
       * At its own FLOPs, each setting of a row scores higher than another row would, by more than `percent` in the mean: the other's
       * scores are interpolated between those of its sizes and settings that nothing cheaper exceeds.
       */
      readonly kind: 'atEqualCost';
      readonly row: string;
      readonly over: string;
      readonly percent: number;
    }
);

/** The places that a claim is about; none for one about whole rows. */
export function placesOf(claim: Claim): readonly Place[] {
  switch (claim.kind) {
    case 'above':
    case 'gain':
      return [claim.above, claim.below];
    case 'near':
      return [claim.place, claim.to];
    case 'cost':
      return [claim.place, claim.over];
    case 'abovePrinted':
      return [claim.place];
    case 'largerGain':
      return [...claim.gain, ...claim.than];
    case 'atEqualCost':
      return [];
  }
}

/** {@link Claim} that one place scores higher than another. */
export function above(where: string, one: Place, other: Place, says: string): Claim {
  return { kind: 'above', says, where, above: one, below: other };
}

/** {@link Claim}s that each of these rows scores higher than the one behind it. */
export function ordered(where: string, column: string, rows: readonly string[]): Claim[] {
  return rows
    .slice(1)
    .map((row, i) =>
      above(where, [rows[i] as string, column], [row, column], `${rows[i]} above ${row}, ${column}`),
    );
}

/** {@link Claim} that two places are at most so many points apart. */
export function near(where: string, place: Place, to: Place, points: number, says: string): Claim {
  return { kind: 'near', says, where, place, to, points };
}
