import type { TokenizedExample } from '../data/batch.js';
import type { Group } from '../distributed/group.js';
import type { BatchPart } from '../inference/decode/task-batches.js';
import { HintError } from '../util/errors.js';
import { sha256Hex } from '../util/hash.js';

/**
 * The part of a rank, once it is sure that all have the same examples.
 *
 * @throws HintError INVALID_CONFIG where they have not
 */
export async function partOf(
  ranks: Group | undefined,
  examples: readonly TokenizedExample[],
): Promise<{ part?: BatchPart }> {
  if (!ranks) return {};
  const bytes = (ids: Int32Array): Uint8Array => new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
  const texts = examples.flatMap(({ instruction, input }) => [bytes(instruction), bytes(input)]);
  await ranks.requireSame(
    {
      'the number of examples': examples.length,
      'the digest of the examples': sha256Hex(...texts).slice(0, 16),
    },
    'give all hosts the same files, such as by a disk that they share.',
  );
  return { part: { index: ranks.rank, count: ranks.size } };
}

/**
 * The results of all ranks in the order of the inputs.
 *
 * @param own of this rank, with holes where others have theirs
 * @param keep what is needed of a result, as JSON keeps it
 */
export async function resultsOfAll<T, K>(
  ranks: Group | undefined,
  own: readonly (T | undefined)[],
  keep: (result: T) => K,
): Promise<K[]> {
  const kept = own.flatMap((result, input): [number, K][] => (result ? [[input, keep(result)]] : []));
  const all = ranks ? (await ranks.exchange(kept, 'collect what all ranks have evaluated')).flat() : kept;
  const results = new Array<K | undefined>(own.length).fill(undefined);
  for (const [input, result] of all) results[input] = result;
  const missing = results.indexOf(undefined);
  if (missing >= 0) throw new HintError('INTERNAL', `Input number ${missing} has no result.`);
  return results as K[];
}
