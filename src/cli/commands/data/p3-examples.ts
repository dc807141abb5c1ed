import { streamP3 } from '../../../data/p3/dataset.js';
import { unpackExamples } from '../../../data/token-cache.js';
import type { TokenizedExample } from '../../../data/batch.js';
import type { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import type { System } from '../../../systems/index.js';
import { formName, namesOf, p3SplitName } from '../../support/dataset-options.js';

/** What `hint data` takes on P3. */
export interface P3DataOptions {
  split?: string | undefined;
  datasets?: string | undefined;
  form?: string | undefined;
  shots?: number | undefined;
  tasks: number;
  instances: number;
  seed: number;
}

/** The first rows of the first templates, as a system sees them. */
export async function firstP3Examples(
  directory: string,
  { system, tokenizer }: { system: System; tokenizer: Tokenizer },
  options: P3DataOptions,
  signal: AbortSignal,
): Promise<TokenizedExample[]> {
  const found = new Map<string, TokenizedExample[]>();
  const blocks = streamP3({
    directory,
    split: p3SplitName(options.split ?? 'train'),
    datasets: namesOf(options.datasets),
    setting: system.p3Setting({ form: formName(options.form), shots: options.shots }),
    tokenizer,
    seed: options.seed,
    withChoices: true,
    threads: 0,
    signal,
  });
  for await (const packed of blocks) {
    for (const example of unpackExamples(packed)) {
      const own = found.get(example.task);
      if (own && own.length < options.instances) own.push(example);
      else if (!own && found.size < options.tasks) found.set(example.task, [example]);
    }
    if (found.size === options.tasks) break;
  }
  return [...found.values()].flat();
}
