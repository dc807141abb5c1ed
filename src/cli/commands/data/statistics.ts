import { p3Files, readP3Templates } from '../../../data/p3/format.js';
import { mixtureRates } from '../../../data/p3/mixture.js';
import type { DataStatistics, SplitStatistics } from '../../../data/statistics.js';
import { findSystem } from '../../../systems/index.js';
import { HintError } from '../../../util/errors.js';
import { namesOf } from '../../support/dataset-options.js';
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
      const { counts } = counter;
      splits.push({ split, ...counts, median, ...(await upToCap(part, split)) });
    } catch (error) {
      // A split that was not asked for by name need not be there.
      if (asked.length === 1 || !isMissingSplit(error)) throw error;
    }
  }
  if (splits.length === 0)
    throw new HintError('INVALID_DATA', `${part.path} has none of the splits ${asked.join(', ')}.`);
  return { kind: part.kind, data: part.path, tokenizer: tokenizer.file, shots, splits };
}

/** How many examples the mixture of P3's training data has. */
async function upToCap(part: DataPart, split: string): Promise<Pick<SplitStatistics, 'examplesUpToCap'>> {
  if (part.kind !== 'p3' || split !== 'train') return {};
  const datasets = new Set(
    (await p3Files(part.path, 'train', namesOf(part.datasets))).map(({ dataset }) => dataset),
  );
  const templates = [...(await readP3Templates(part.path))].filter(([, { dataset }]) =>
    datasets.has(dataset),
  );
  const rates = mixtureRates(new Map(templates)).values();
  return { examplesUpToCap: [...rates].reduce((sum, { rate }) => sum + rate, 0) };
}
