import { HintError } from '../../util/errors.js';
import { CounterRng } from '../../util/counter-rng.js';
import { fnv1a32 } from '../../util/hash.js';
import type { P3Template } from './format.js';
import { publishedCap } from './published-sizes.js';

/** Rows above which a dataset is capped, and the number its templates then share (method §8.1). */
export const MIXTURE_CAP = 500_000;

/** Where the sizes of the datasets are taken from: the rows that are there, or those of the published mixture. */
export type MixtureRates = (typeof MIXTURE_RATES)[number];
export const MIXTURE_RATES = ['rows', 'published'] as const;

/** How much of a task is used. */
export interface TaskRate {
  /** The task is drawn in proportion to it. */
  rate: number;
  /** Share of its rows that are kept: what is above the cap is never held. */
  keep: number;
}

/**
 * The T0 rule: a task (a template of a dataset) is drawn in proportion to its dataset's rows, or to
 * `cap div templates` where the dataset has more than `cap` rows.
 *
 * @param templates all of the datasets that are mixed, by task name
 * @throws HintError INVALID_ARGUMENT for a cap below 1, INVALID_DATA for a dataset the published mixture does not have
 */
export function mixtureRates(
  templates: ReadonlyMap<string, P3Template>,
  rates: MixtureRates = 'rows',
  cap = MIXTURE_CAP,
): Map<string, TaskRate> {
  if (!Number.isInteger(cap) || cap < 1)
    throw new HintError('INVALID_ARGUMENT', `The mixture's cap is ${cap}; give an integer ≥ 1.`);
  const datasets = new Map<string, { templates: number; rows: number }>();
  for (const { dataset, rows } of templates.values()) {
    const known = datasets.get(dataset) ?? { templates: 0, rows: 0 };
    datasets.set(dataset, { templates: known.templates + 1, rows: Math.max(known.rows, rows) });
  }
  return new Map(
    [...templates].map(([task, { dataset, rows: own }]) => {
      const { templates: count, rows } = datasets.get(dataset) ?? { templates: 1, rows: own };
      const limit = rows > cap ? Math.max(1, Math.floor(cap / count)) : rows;
      const keep = own > limit ? limit / own : 1;
      return [task, { rate: rates === 'published' ? publishedCap(dataset) : limit, keep }];
    }),
  );
}

/** Where a mixture stands. */
export type MixtureState = {
  /** Examples drawn so far. */
  drawn: number;
  /** Of these, how many of each task, in the order of the tasks. */
  counts: number[];
};

/** A task and its example, by number. */
export interface Draw {
  task: number;
  example: number;
}

/**
 * Draws tasks in proportion to their rates, with replacement; each task goes through its own examples in an order
 * that is new every pass. What is drawn is a function of the seed and the state.
 */
export class MixtureSampler {
  private readonly cumulative: Float64Array;
  private readonly orders = new Map<number, { pass: number; order: Int32Array }>();
  private drawn = 0;
  private counts: number[];

  /**
   * @param tasks at least one; sizes ≥ 1, rates > 0
   * @param seed a non-negative safe integer
   * @throws HintError INVALID_ARGUMENT
   */
  constructor(
    private readonly tasks: readonly { name: string; size: number; rate: number }[],
    private readonly seed: number,
  ) {
    if (tasks.length === 0)
      throw new HintError('INVALID_ARGUMENT', 'A mixture needs at least one task; it has 0.');
    const bad = tasks.find(({ size, rate }) => !(size >= 1) || !(rate > 0) || !Number.isFinite(rate));
    if (bad)
      throw new HintError(
        'INVALID_ARGUMENT',
        `The task ${bad.name} has ${bad.size} examples and the rate ${bad.rate}; both must be above 0.`,
      );
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new HintError('INVALID_ARGUMENT', `The seed is ${seed}; give a non-negative integer.`);
    let sum = 0;
    this.cumulative = Float64Array.from(tasks, ({ rate }) => (sum += rate));
    this.counts = tasks.map(() => 0);
  }

  next(): Draw {
    const task = this.drawTask(this.drawn++);
    const count = this.counts[task] as number;
    this.counts[task] = count + 1;
    const { size } = this.tasks[task] as { size: number };
    const order = this.orderOf(task, Math.floor(count / size));
    return { task, example: order[count % size] as number };
  }

  get state(): MixtureState {
    return { drawn: this.drawn, counts: [...this.counts] };
  }

  /** @throws HintError INVALID_CHECKPOINT when the state cannot be one of these tasks */
  restore({ drawn, counts }: MixtureState): void {
    const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
    const fits = counts.length === this.tasks.length && counts.every(isCount) && isCount(drawn);
    if (!fits || counts.reduce((sum, count) => sum + count, 0) !== drawn)
      throw new HintError(
        'INVALID_CHECKPOINT',
        `Cannot resume at example ${drawn} of a mixture of ${counts.length} tasks: there are ${this.tasks.length} tasks. Resume with the data the run was started on.`,
      );
    this.drawn = drawn;
    this.counts = [...counts];
  }

  private drawTask(number: number): number {
    const random = new CounterRng(this.seed, number, fnv1a32('mixture'));
    const total = this.cumulative[this.cumulative.length - 1] as number;
    const at = ((random.nextUint32() * 2 ** 21 + (random.nextUint32() >>> 11)) / 2 ** 53) * total;
    let low = 0;
    let high = this.cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.cumulative[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private orderOf(task: number, pass: number): Int32Array {
    const known = this.orders.get(task);
    if (known?.pass === pass) return known.order;
    const { name, size } = this.tasks[task] as { name: string; size: number };
    const order = new CounterRng(this.seed, pass, fnv1a32(name)).permutation(size);
    this.orders.set(task, { pass, order });
    return order;
  }
}
