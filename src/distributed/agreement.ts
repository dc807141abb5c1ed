import { HintError } from '../util/errors.js';
import type { Group } from './group.js';

/** Whether any of the ranks, which ask at the same place, is to stop; without ranks, whether this process is. */
export async function isAnyAborted(
  ranks: Group | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const isAborted = signal?.aborted ?? false;
  if (!ranks) return isAborted;
  return (await ranks.exchange(isAborted, 'learn whether to go on')).includes(true);
}

/**
 * What rank 0 finds, at every rank; without ranks, what this process finds.
 *
 * @param find as in {@link Group.fromFirst}
 */
export async function foundOnce<T>(
  ranks: Group | undefined,
  find: () => T | Promise<T>,
  what: string,
): Promise<T> {
  return ranks ? ranks.fromFirst(find, what) : find();
}

/** Does at rank 0 alone, or in this process without ranks, what the others wait for. */
export async function doneOnce(
  ranks: Group | undefined,
  work: () => Promise<unknown>,
  what: string,
): Promise<void> {
  const done = async (): Promise<null> => {
    await work();
    return null;
  };
  await foundOnce(ranks, done, what);
}

/**
 * Whether an error of training is thrown by every rank at the same place, so that they can go on with other work. That is so when
 * training diverges, as the check for numbers is one of the whole step. After any other error, the others may wait for this rank.
 */
export function isOfAllRanks(error: unknown): boolean {
  return error instanceof HintError && error.code === 'NUMERIC';
}
