import { z } from 'zod';
import { HintError } from '../util/errors.js';
import { check, listOf } from '../util/check.js';
import { readJson } from '../util/read-file.js';
import { median } from '../util/statistics.js';
import type { TokenizedExample } from './batch.js';

const tokens = z.number().min(0);
const count = z.int().min(0);
const splitSchema = z.object({
  split: z.string().min(1),
  tasks: count,
  examples: count,
  /** Median tokens over the examples. */
  median: z.object({
    instruction: tokens,
    input: tokens,
    target: tokens,
    /** Instruction and input read as one, markers included. */
    together: tokens,
    /** The same two with worked examples in front, where some were asked for. */
    instructionWithShots: tokens.optional(),
    togetherWithShots: tokens.optional(),
  }),
  /** P3: examples of the mixture, in which no dataset counts as more than the cap; the paper's Table 8 counts so. */
  examplesUpToCap: count.optional(),
  /** Tokens of instructions, inputs and targets, and those of them that stand for unknown text. */
  tokens: count,
  unknown: count,
});
const statisticsSchema = z.object({
  kind: z.string(),
  data: z.string(),
  tokenizer: z.string(),
  /** Worked examples of `…WithShots`. */
  shots: count,
  splits: listOf(splitSchema),
});

/** Counts and median lengths of a split, as the paper's Tables 7 and 8 give them. */
export type SplitStatistics = z.infer<typeof splitSchema>;
/** What `hint data --statistics --json` prints and `hint flops --data` reads. */
export type DataStatistics = z.infer<typeof statisticsSchema>;

/**
 * Reads what `hint data --statistics --json` printed.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON, INVALID_DATA naming the field
 */
export async function readStatistics(file: string): Promise<DataStatistics> {
  const { data, faults } = check(statisticsSchema, await readJson(file, 'the statistics (--data)'));
  if (!faults) return data;
  const [{ path, message }] = faults;
  throw new HintError(
    'INVALID_DATA',
    `${file} holds no statistics of data: field ${path.join('.') || '(all)'}: ${message}. Write it with hint data PATH --statistics --json.`,
  );
}

/** Counts tasks, examples and unknown pieces, and keeps the lengths of which medians are taken: 24 bytes an example. */
export class ExampleCounter {
  private readonly tasks = new Set<string>();
  private readonly lengths = { instruction: [] as number[], input: [] as number[], target: [] as number[] };
  private tokens = 0;
  private unknown = 0;

  constructor(private readonly unknownId: number) {}

  add(example: TokenizedExample): void {
    this.tasks.add(example.task);
    for (const part of ['instruction', 'input', 'target'] as const) {
      const ids = example[part];
      this.lengths[part].push(ids.length);
      this.tokens += ids.length;
      for (const id of ids) if (id === this.unknownId) this.unknown++;
    }
  }

  get counts(): Pick<SplitStatistics, 'tasks' | 'examples' | 'tokens' | 'unknown'> {
    const { tokens: all, unknown } = this;
    return { tasks: this.tasks.size, examples: this.lengths.input.length, tokens: all, unknown };
  }

  /** Median tokens; 0 where there is no example. */
  get medians(): { instruction: number; input: number; target: number } {
    const { instruction, input, target } = this.lengths;
    const of = (values: readonly number[]): number => (values.length === 0 ? 0 : median(values));
    return { instruction: of(instruction), input: of(input), target: of(target) };
  }
}
