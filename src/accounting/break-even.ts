/** What a system costs for one task: seconds, FLOPs, or any other unit that adds up. */
export interface TaskCost {
  /** Once a task: compiling it, or reading its instruction. */
  readonly once: number;
  /** For each input. */
  readonly each: number;
}

/**
 * The numbers of inputs at which one system costs less than another, both ends included. `from` is null where there are
 * none, `upTo` where there is no end.
 */
export interface CheaperInputs {
  readonly from: number | null;
  readonly upTo: number | null;
}

/** @returns the whole numbers of inputs, from 1, for which `own` costs less than `other` */
export function cheaperInputs(own: TaskCost, other: TaskCost): CheaperInputs {
  const extra = own.once - other.once;
  const gain = other.each - own.each;
  if (gain > 0) return { from: Math.max(1, Math.floor(extra / gain) + 1), upTo: null };
  if (extra >= 0) return { from: null, upTo: null };
  if (gain === 0) return { from: 1, upTo: null };
  const upTo = Math.ceil(extra / gain) - 1;
  return upTo < 1 ? { from: null, upTo: null } : { from: 1, upTo };
}

/** @returns cost of one task with so many inputs */
export function costOf({ once, each }: TaskCost, inputs: number): number {
  return once + inputs * each;
}

/** A system's cost with so many shots; undefined where it is not known. */
export type CostByShots = (shots: number) => TaskCost | undefined;

/**
 * @param shots those that are looked at, in any order; those without a cost are left out
 * @returns the fewest of them from which on, with all that are more, `own` costs less for `inputs` inputs; null: `own` does not
 *   cost less with the most of them, or no cost is known
 */
export function cheaperFromShots(
  own: CostByShots,
  other: CostByShots,
  inputs: number,
  shots: readonly number[],
): number | null {
  let from: number | null = null;
  for (const count of [...shots].sort((a, b) => b - a)) {
    const [mine, theirs] = [own(count), other(count)];
    if (!mine || !theirs) continue;
    if (costOf(mine, inputs) >= costOf(theirs, inputs)) break;
    from = count;
  }
  return from;
}
