import { readStatistics, type SplitStatistics } from '../../data/statistics.js';
import { HintError } from '../../util/errors.js';

/** A split of measured data: its medians as whole numbers of tokens, and inputs of a task. */
export interface MeasuredSplit {
  readonly kind: string;
  readonly split: string;
  /** Worked examples of `…WithShots`. */
  readonly shots: number;
  readonly median: SplitStatistics['median'];
  readonly examples: number;
}

/**
 * Reads a split of what `hint data --statistics --json` printed.
 *
 * @param wanted the split; by default the one that is evaluated on
 * @throws HintError as `readStatistics`; INVALID_ARGUMENT for a split that there is not
 */
export async function measuredSplit(file: string, wanted: string | undefined): Promise<MeasuredSplit> {
  const { kind, shots, splits } = await readStatistics(file);
  const names = splits.map(({ split }) => split);
  const name = wanted ?? ['test', 'eval'].find((known) => names.includes(known)) ?? names[0];
  const found = splits.find(({ split }) => split === name);
  if (!found)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${file} has no split ${JSON.stringify(name ?? '')}; it has ${names.join(', ') || 'none'}.`,
    );
  const { split, tasks, examples, median } = found;
  const whole = Object.entries(median).map(([key, value = 0]) => [key, Math.ceil(value)] as const);
  return {
    kind,
    split,
    shots,
    median: Object.fromEntries(whole) as MeasuredSplit['median'],
    examples: Math.max(1, Math.round(examples / Math.max(1, tasks))),
  };
}
