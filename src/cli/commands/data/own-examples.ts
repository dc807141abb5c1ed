import { createPrompt } from '../../../data/natural-instructions/prompts.js';
import { chooseTarget } from '../../../data/natural-instructions/tasks.js';
import { readOwnRecords } from '../../../data/own/dataset.js';
import type { OwnRow } from '../../../data/own/tokenize.js';
import type { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import type { System } from '../../../systems/index.js';
import { splittingOf, type SplittingFlags } from '../../support/dataset-options.js';

/** What `hint data` takes on own data. */
export interface OwnDataOptions extends SplittingFlags {
  split?: string | undefined;
  positives: number;
  tasks: number;
  instances: number;
  seed: number;
}

/** An example as texts. */
export interface OwnExampleTexts {
  row: OwnRow;
  instruction: string | null;
  input: string;
  target: string;
}

/** The first records of the first tasks, as a system sees them. */
export async function firstOwnExamples(
  path: string,
  { system, tokenizer }: { system: System; tokenizer: Tokenizer },
  { split = 'all', positives, tasks, instances, seed, ...flags }: OwnDataOptions,
  signal: AbortSignal,
): Promise<OwnExampleTexts[]> {
  const found = new Map<string, OwnRow[]>();
  for await (const row of readOwnRecords({ files: [path], split, ...splittingOf(flags), signal })) {
    const own = found.get(row.task);
    if (own && own.length < instances) own.push(row);
    else if (!own && found.size < tasks) found.set(row.task, [row]);
    if (found.size === tasks && [...found.values()].every(({ length }) => length === instances)) break;
  }
  return [...found.values()].flat().map((row) => {
    const task = { definition: row.instruction, positiveExamples: row.examples };
    const prompt = createPrompt(task, system.setting(positives), tokenizer);
    return {
      row,
      instruction: prompt.instruction,
      input: prompt.formatInput(row.input),
      target: chooseTarget(row, seed),
    };
  });
}
