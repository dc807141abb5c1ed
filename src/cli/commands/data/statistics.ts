import type { DataStatistics, SplitStatistics } from '../../../data/statistics.js';
import { findSystem } from '../../../systems/index.js';
import { HintError } from '../../../util/errors.js';
import { table } from '../../support/context.js';
import { countSplit, isMissingSplit, splitsOf, type DataPart, type Showing } from './splits.js';

/** Counts and median lengths of each split: as HINT reads it, and as a system that reads all of it as its input. */
export async function statisticsOf(
  part: DataPart,
  { tokenizer, shots, notices, signal }: Omit<Showing, 'system'>,
): Promise<DataStatistics> {
  const apart = { system: findSystem('hint'), tokenizer, signal };
  const together = { ...apart, system: findSystem(part.kind === 'p3' ? 't0' : 'tk-instruct') };
  // The fields of a P3 prompt are what is left of it without its template.
  const fields = part.kind === 'p3' ? { ...part, form: 'split' } : part;
  const whole = { ...part, form: undefined };
  const splits: SplitStatistics[] = [];
  const asked = splitsOf(part);
  for (const split of asked) {
    try {
      const counter = await countSplit(fields, split, { ...apart, shots: 0, notices });
      const { instruction, input, target } = counter.medians;
      const all = await countSplit(whole, split, { ...together, shots: 0 });
      const median: SplitStatistics['median'] = { instruction, input, target, together: all.medians.input };
      if (shots > 0) {
        median.instructionWithShots = (
          await countSplit(fields, split, { ...apart, shots })
        ).medians.instruction;
        median.togetherWithShots = (await countSplit(whole, split, { ...together, shots })).medians.input;
      }
      splits.push({ split, ...counter.counts, median });
    } catch (error) {
      // A split that was not asked for by name need not be there.
      if (asked.length === 1 || !isMissingSplit(error)) throw error;
    }
  }
  if (splits.length === 0)
    throw new HintError('INVALID_DATA', `${part.path} has none of the splits ${asked.join(', ')}.`);
  return { kind: part.kind, data: part.path, tokenizer: tokenizer.file, shots, splits };
}

/** The statistics as a table. */
export function describeStatistics({ shots, splits }: DataStatistics): string {
  const withShots = shots > 0 ? [`instruction + ${shots}`, `together + ${shots}`] : [];
  const rows = splits.map(({ split, tasks, examples, median, tokens, unknown }) => [
    split,
    ...[tasks, examples, median.instruction, median.input, median.target, median.together],
    ...(shots > 0 ? [median.instructionWithShots ?? '', median.togetherWithShots ?? ''] : []),
    `${tokens === 0 ? 0 : ((100 * unknown) / tokens).toFixed(3)}%`,
  ]);
  return [
    table(['split', 'tasks', 'examples', 'instruction', 'input', 'target', 'together', ...withShots, 'unknown'], rows), // prettier-ignore
    '',
    'Lengths are medians over the examples, in tokens; together: instruction and input as one text.',
  ].join('\n');
}
