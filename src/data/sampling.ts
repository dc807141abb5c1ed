import { HintError } from '../util/errors.js';
import { CounterRng } from '../util/counter-rng.js';
import { InstructionRows, type TokenizedExample } from './batch.js';

/** Where a sampler stands: all that a resumed run needs to draw the same examples. */
export interface SamplerState {
  /** Passes over the pool that were finished. */
  epoch: number;
  /** Examples drawn of the current pass, 0 ≤ position < size. */
  position: number;
}

/**
 * Draws from one pool of the examples of all tasks, each once per pass, in a new random order every pass, for ever
 * (method §7.4; the pool is shuffled as a whole instead of through a buffer). The order of pass e is a
 * function of (seed, e).
 */
export class MixedTaskSampler {
  private readonly size: number;
  private readonly seed: number;
  private epoch = 0;
  private position = 0;
  private order: Int32Array;

  /**
   * @param size examples in the pool
   * @param seed a non-negative safe integer
   * @throws HintError `INVALID_ARGUMENT`
   */
  constructor(size: number, seed: number) {
    if (!Number.isInteger(size) || size < 1 || size > 2 ** 31 - 1)
      throw new HintError(
        'INVALID_ARGUMENT',
        `A sampler needs a pool of at least one example; its size is ${size}.`,
      );
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new HintError('INVALID_ARGUMENT', `The seed is ${seed}; give a non-negative integer.`);
    this.size = size;
    this.seed = seed;
    this.order = this.orderOf(0);
  }

  /** The next `count` indices into the pool; a batch may run over the end of a pass. */
  next(count: number): Int32Array {
    const drawn = new Int32Array(count);
    for (let filled = 0; filled < count;) {
      const part = this.order.subarray(this.position, this.position + count - filled);
      drawn.set(part, filled);
      filled += part.length;
      this.position += part.length;
      if (this.position === this.size) this.moveTo(this.epoch + 1, 0);
    }
    return drawn;
  }

  get state(): SamplerState {
    return { epoch: this.epoch, position: this.position };
  }

  /**
   * Goes on from a saved state.
   *
   * @throws HintError `INVALID_CHECKPOINT` when the state cannot be one of this pool
   */
  restore({ epoch, position }: SamplerState): void {
    const fits = Number.isSafeInteger(epoch) && epoch >= 0 && Number.isInteger(position);
    if (!fits || position < 0 || position >= this.size)
      throw new HintError(
        'INVALID_CHECKPOINT',
        `Cannot resume at example ${position} of pass ${epoch}: the pool has ${this.size} examples. Resume with the dataset the run was started on.`,
      );
    this.moveTo(epoch, position);
  }

  private moveTo(epoch: number, position: number): void {
    this.epoch = epoch;
    this.position = position;
    this.order = this.orderOf(epoch);
  }

  private orderOf(epoch: number): Int32Array {
    return new CounterRng(this.seed, epoch).permutation(this.size);
  }
}

/**
 * Splits a batch into microbatches of at most `maxTokens` tokens each. Every example costs its input and target,
 * and every distinct instruction its length, once per microbatch; so examples of one task stay together where they
 * fit, and a task too large for one microbatch is cut. Tasks are placed largest first, each into the first
 * microbatch with room. An example longer than the budget gets a microbatch of its own. Deterministic.
 *
 * @returns the microbatches; every example of `examples` is in exactly one
 * @throws HintError `INVALID_ARGUMENT` unless `maxTokens` is ≥ 1
 */
export function splitByTokens(
  examples: readonly TokenizedExample[],
  maxTokens: number,
): TokenizedExample[][] {
  if (!(maxTokens >= 1))
    throw new HintError(
      'INVALID_ARGUMENT',
      `The token budget of a microbatch is ${maxTokens}; give a number ≥ 1.`,
    );
  const chunks = chunksOfTasks(examples, maxTokens).sort((a, b) => b.tokens - a.tokens);
  const bins: Chunk[] = [];
  for (const chunk of chunks) {
    const bin = bins.find(({ tokens }) => tokens + chunk.tokens <= maxTokens);
    if (bin === undefined) {
      bins.push(chunk);
      continue;
    }
    bin.tokens += chunk.tokens;
    bin.examples.push(...chunk.examples);
  }
  return bins.map((bin) => bin.examples);
}

/** What a microbatch of these examples has of tokens: all, each distinct instruction once, and of targets alone. */
export function countTokens(examples: readonly TokenizedExample[]): { tokens: number; targetTokens: number } {
  const rows = new InstructionRows();
  let [tokens, targetTokens] = [0, 0];
  for (const { instruction, input, target } of examples) {
    if (instruction.length > 0) rows.row(instruction);
    tokens += input.length + target.length;
    targetTokens += target.length;
  }
  for (const { length } of rows.distinct) tokens += length;
  return { tokens, targetTokens };
}

interface Chunk {
  tokens: number;
  examples: TokenizedExample[];
}

/** The examples of each task, cut where they exceed the budget. */
function chunksOfTasks(examples: readonly TokenizedExample[], maxTokens: number): Chunk[] {
  const rows = new InstructionRows();
  const open = new Map<number | string, Chunk>();
  const chunks: Chunk[] = [];
  for (const example of examples) {
    const { instruction, input, target, task } = example;
    const key = instruction.length > 0 ? rows.row(instruction) : task;
    const cost = input.length + target.length;
    let chunk = open.get(key);
    if (chunk === undefined || chunk.tokens + cost > maxTokens) {
      chunk = { tokens: instruction.length, examples: [] };
      open.set(key, chunk);
      chunks.push(chunk);
    }
    chunk.tokens += cost;
    chunk.examples.push(example);
  }
  return chunks;
}
