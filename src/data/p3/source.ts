import { z } from 'zod';
import { HintError, throwIfAborted } from '../../util/errors.js';
import {
  checked,
  checkedIfGiven,
  choice,
  integer,
  optional,
  options as optionsOf,
  signal as signalKind,
} from '../../util/arguments.js';
import { sha256Hex } from '../../util/hash.js';
import { parseSafely } from '../../util/parse-safely.js';
import { showValue } from '../../util/show-value.js';
import type { TokenizedExample } from '../batch.js';
import { DRAWN } from '../batch.js';
import { packedKey } from '../token-cache.js';
import { P3_READING, streamP3, type P3Options } from './dataset.js';
import { P3Census } from './census.js';
import { p3Files, readP3Templates } from './format.js';
import {
  MIXTURE_RATES,
  MixtureSampler,
  mixtureRates,
  type MixtureRates,
  type MixtureState,
} from './mixture.js';
import { P3Pool } from './pool.js';

/** Options of {@link P3Source.open}. */
export interface P3SourceOptions extends Omit<P3Options, 'keep' | 'shots' | 'withChoices'> {
  /** Where the sizes behind the rates come from (default `rows`). */
  mixture?: MixtureRates | undefined;
  /** Rows above which a dataset is capped (default 500,000). */
  cap?: number | undefined;
}

const OPEN = optionsOf<P3SourceOptions>(
  { ...P3_READING, mixture: optional(choice(...MIXTURE_RATES)), cap: optional(integer(1, 2 ** 31 - 1)) },
  'an object such as { directory, split, setting, tokenizer }',
);

// Files of the token cache that are read at once.
const READS_AT_ONCE = 64;

const stateSchema = z.object({ drawn: z.int().min(0), counts: z.array(z.int().min(0)) });

/** P3's training mixture (method §8.1) as a source of examples: see MixtureSampler for what it draws. */
export class P3Source {
  private constructor(
    private readonly pool: P3Pool,
    private readonly sampler: MixtureSampler,
    private readonly names: readonly string[],
    /** Hash of the data and the settings; a run goes on only with an equal one. */
    readonly fingerprint: string,
  ) {}

  /**
   * Tokenises the data, or finds them in the cache. With a cache directory the examples stay on disk.
   *
   * @throws HintError as streamP3 and mixtureRates; INVALID_DATA when no row can be shown in the form
   */
  static async open(given: P3SourceOptions): Promise<P3Source> {
    const { mixture, cap, ...options } = checked(OPEN, given, 'options');
    const { directory, split, datasets, seed = 0, cacheDirectory = null, notices, signal } = options;
    const [templates, files] = [await readP3Templates(directory), await p3Files(directory, split, datasets)];
    const census = new P3Census(templates, notices);
    const mixed = new Set(files.map(({ dataset }) => dataset));
    const rates = mixtureRates(
      new Map([...templates].filter(([, { dataset }]) => mixed.has(dataset))),
      mixture,
      cap,
    );
    const keep = new Map([...rates].map(([task, rate]) => [task, rate.keep]));
    const pool = new P3Pool();
    const keys: Uint8Array[] = [];
    for await (const packed of streamP3({ ...options, keep })) {
      throwIfAborted(signal);
      const { examples, notices: found } = pool.add(packed, cacheDirectory);
      notices?.addAll(found);
      census.see(examples);
      keys.push(Uint8Array.from(packedKey(packed)));
    }
    census.end(rates.keys());
    const tasks = pool.tasks.map((task) => ({ ...task, rate: rates.get(task.name)?.rate ?? 0 }));
    if (tasks.length === 0)
      throw new HintError(
        'INVALID_DATA',
        `No row of ${directory}/${split} can be shown in the form ${options.setting.form}; rows need ${options.setting.form === 't0' ? 'a prompt' : 'the fields "instruction" and "fields"'}.`,
      );
    const fingerprint = sha256Hex(JSON.stringify(tasks), ...keys);
    return new P3Source(
      pool,
      new MixtureSampler(tasks, seed),
      tasks.map(({ name }) => name),
      fingerprint,
    );
  }

  /** Examples in the pool. */
  get size(): number {
    return this.pool.size;
  }

  /** Where the drawing stands, as a checkpoint keeps it. */
  get state(): MixtureState {
    return this.sampler.state;
  }

  /**
   * Goes on where a saved state stood.
   *
   * @throws HintError INVALID_CHECKPOINT when the state is of other data
   */
  restore(state: unknown): void {
    const parsed = parseSafely(stateSchema, state, 'The place in the examples', 'INVALID_CHECKPOINT');
    if (parsed.faults)
      throw new HintError(
        'INVALID_CHECKPOINT',
        `The checkpoint's place in its examples is ${showValue(state)}, a mixture needs the examples drawn of each task; resume with the kind of data the run was started on.`,
      );
    this.sampler.restore(parsed.data);
  }

  /** The next examples of the mixture. @throws HintError INVALID_ARGUMENT, IO, ABORTED */
  async next(count: number, signal?: AbortSignal): Promise<TokenizedExample[]> {
    checked(DRAWN, count, 'count');
    checkedIfGiven(signalKind, signal, 'signal');
    const draws = Array.from({ length: count }, () => this.sampler.next());
    const examples: TokenizedExample[] = [];
    for (let begin = 0; begin < count; begin += READS_AT_ONCE) {
      throwIfAborted(signal);
      const reads = draws
        .slice(begin, begin + READS_AT_ONCE)
        .map(({ task, example }) => this.pool.read(this.names[task] as string, example));
      examples.push(...(await Promise.all(reads)));
    }
    return examples;
  }
}
