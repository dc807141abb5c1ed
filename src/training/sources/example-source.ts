import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DRAWN, EXAMPLES, type TokenizedExample } from '../../data/batch.js';
import { MixedTaskSampler } from '../../data/sampling.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { checked, checkedIfGiven, integer, name, signal as signalKind } from '../../util/arguments.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { parseSafely } from '../../util/parse-safely.js';
import { showValue } from '../../util/show-value.js';

/** Plain JSON: what a source needs to go on, as it stands in a checkpoint. */
export type SourceState = z.infer<ReturnType<typeof z.json>>;

/**
 * Where training examples come from: a pool in memory or a stream of any length. A source never ends; what is finite
 * starts again. What it gives next is a function of its state, so that a resumed run draws what the interrupted one
 * would have drawn.
 */
export interface ExampleSource {
  /**
   * The next `count` examples. One call at a time.
   *
   * @throws HintError ABORTED, and what reading the examples may fail with; the trainer then goes back with
   *   {@link restore}, so a failed call may leave any state
   */
  next(count: number, signal?: AbortSignal): Promise<readonly TokenizedExample[]>;
  /** A copy of where it stands: behind the last example given; what is read ahead does not count. */
  readonly state: SourceState;
  /**
   * Goes to a state of this source or of one with the same fingerprint.
   *
   * @throws HintError INVALID_CHECKPOINT when the state cannot be one of this source
   */
  restore(state: SourceState): void | Promise<void>;
  /** Names the content: sources with the same fingerprint give the same examples from the same state. */
  readonly fingerprint: string;
  /** Examples of one pass; undefined for a stream whose length nobody knows. */
  readonly size: number | undefined;
  /** Lets go of files and threads. */
  close?(): Promise<void>;
}

const SEED = integer(0);
const poolState = z.object({ epoch: z.int().min(0), position: z.int().min(0) });

/** Mixed-task sampling (method §2.9) from examples in memory: each once per pass, in a new random order every pass. */
export class PoolSource implements ExampleSource {
  private readonly sampler: MixedTaskSampler;

  /**
   * @param fingerprint names the examples and their order; {@link PoolSource.of} computes it
   * @throws HintError INVALID_ARGUMENT for an empty pool or a seed that is none
   */
  constructor(
    private readonly pool: readonly TokenizedExample[],
    seed: number,
    readonly fingerprint: string,
  ) {
    checked(EXAMPLES, pool, 'pool');
    checked(SEED, seed, 'seed');
    checked(name, fingerprint, 'fingerprint');
    this.sampler = new MixedTaskSampler(pool.length, seed);
  }

  /** A source with the hash of the examples as its fingerprint. @throws HintError INVALID_ARGUMENT, ABORTED */
  static async of(
    pool: readonly TokenizedExample[],
    seed: number,
    signal?: AbortSignal,
  ): Promise<PoolSource> {
    checked(EXAMPLES, pool, 'pool');
    checked(SEED, seed, 'seed');
    checkedIfGiven(signalKind, signal, 'signal');
    return new PoolSource(pool, seed, await poolFingerprint(pool, signal));
  }

  get size(): number {
    return this.pool.length;
  }

  async next(count: number): Promise<TokenizedExample[]> {
    const drawn = this.sampler.next(checked(DRAWN, count, 'count'));
    return Array.from(drawn, (index) => this.pool[index] as TokenizedExample);
  }

  get state(): SourceState {
    return { ...this.sampler.state };
  }

  restore(state: SourceState): void {
    const parsed = parseSafely(poolState, state, 'The place in the examples', 'INVALID_CHECKPOINT');
    if (parsed.faults) {
      throw new HintError(
        'INVALID_CHECKPOINT',
        `The checkpoint's place in its examples is ${showValue(state)}, a pool needs an epoch and a position; resume with the kind of data the run was started on.`,
      );
    }
    this.sampler.restore(parsed.data);
  }
}

/**
 * A name for a pool: two pools with the same examples in the same order have the same.
 *
 * @throws HintError ABORTED
 */
export async function poolFingerprint(
  pool: readonly TokenizedExample[],
  signal?: AbortSignal,
): Promise<string> {
  const hash = createHash('sha256');
  const breathe = createYielder();
  for (const { id, instruction, input, target } of pool) {
    const pause = breathe();
    if (pause) {
      await pause;
      throwIfAborted(signal);
    }
    hash.update(`${id}\n${instruction.length},${input.length},${target.length}\n`);
    for (const ids of [instruction, input, target]) hash.update(ids);
  }
  return hash.digest('hex');
}
