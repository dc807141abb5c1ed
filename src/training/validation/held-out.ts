import type { TokenizedExample } from '../../data/batch.js';
import { HintError } from '../../util/errors.js';
import { sha256 } from '../../util/hash.js';

/** A pool in two parts, each in the pool's order. */
export interface DividedPool {
  readonly training: TokenizedExample[];
  readonly heldOut: TokenizedExample[];
}

/**
 * Holds a share of a pool out: the examples, or the tasks, whose names have the least hashes, at least one and never all.
 * The choice does not depend on the run's seed, so that runs of several seeds are scored on the same examples.
 *
 * @throws HintError INVALID_DATA for a pool that cannot be divided
 */
export function holdOut(
  pool: readonly TokenizedExample[],
  { fraction, by }: { fraction: number; by: 'example' | 'task' },
): DividedPool {
  const nameOf = ({ task, id }: TokenizedExample): string =>
    by === 'task' ? task : JSON.stringify([task, id]);
  const names = [...new Set(pool.map(nameOf))];
  if (names.length < 2)
    throw new HintError(
      'INVALID_DATA',
      `The training data have ${names.length} ${by}${names.length === 1 ? '' : 's'}, of which validation.fraction can hold none out; give more data, ${by === 'task' ? 'validation.by=example, ' : ''}or validation.data.`,
    );
  // Under a word of its own: a hash of the name alone decides the splits of own data already.
  const hashed = names.map((name) => ({ name, hash: sha256('validation', name).toString('hex') }));
  hashed.sort((a, b) => (a.hash < b.hash ? -1 : 1));
  const count = Math.min(names.length - 1, Math.max(1, Math.round(fraction * names.length)));
  const chosen = new Set(hashed.slice(0, count).map(({ name }) => name));
  return {
    training: pool.filter((example) => !chosen.has(nameOf(example))),
    heldOut: pool.filter((example) => chosen.has(nameOf(example))),
  };
}
