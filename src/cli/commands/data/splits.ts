import type { TokenizedExample } from '../../../data/batch.js';
import type { DatasetKind } from '../../../data/detect.js';
import { streamSniDataset } from '../../../data/natural-instructions/dataset.js';
import { SNI_SPLITS } from '../../../data/natural-instructions/tasks.js';
import { loadOwnDataset } from '../../../data/own/dataset.js';
import { P3Census } from '../../../data/p3/census.js';
import { streamP3 } from '../../../data/p3/dataset.js';
import { P3_SPLITS, readP3Templates } from '../../../data/p3/format.js';
import { ExampleCounter } from '../../../data/statistics.js';
import { unpackExamples } from '../../../data/token-cache.js';
import type { Tokenizer } from '../../../formats/tokenizer/tokenizer.js';
import type { System } from '../../../systems/index.js';
import { HintError } from '../../../util/errors.js';
import type { Notices } from '../../../util/notices.js';
import { formName, namesOf, p3SplitName, splittingOf, splitName, type SplittingFlags } from '../../support/dataset-options.js'; // prettier-ignore

/** A dataset, and which part of it is read. */
export interface DataPart extends SplittingFlags {
  kind: DatasetKind;
  path: string;
  split?: string | undefined;
  track?: string | undefined;
  datasets?: string | undefined;
  form?: string | undefined;
  seed: number;
}

/** How examples are shown, and what is noticed meanwhile. */
export interface Showing {
  system: System;
  tokenizer: Tokenizer;
  /** Positive examples or worked examples. */
  shots: number;
  notices?: Notices | undefined;
  signal: AbortSignal;
}

/** The splits that statistics are made of. */
export function splitsOf({ kind, split }: DataPart): readonly string[] {
  if (split !== undefined) return [split];
  return { sni: SNI_SPLITS.filter((name) => name !== 'excluded'), p3: P3_SPLITS.filter((name) => name !== 'fewshot'), own: ['train', 'test'] }[kind]; // prettier-ignore
}

/** Counts a whole split as training or evaluation would read it. */
export async function countSplit(part: DataPart, split: string, showing: Showing): Promise<ExampleCounter> {
  const counter = new ExampleCounter(showing.tokenizer.unkId);
  for await (const examples of readSplit(part, split, showing))
    for (const example of examples) counter.add(example);
  return counter;
}

async function* readSplit(
  { kind, path, track, datasets, form, seed, ...flags }: DataPart,
  split: string,
  { system, tokenizer, shots, notices, signal }: Showing,
): AsyncGenerator<TokenizedExample[], void, undefined> {
  const shared = { tokenizer, seed, notices, signal };
  if (kind === 'sni') {
    const setting = system.setting(shots);
    const where = { directory: path, split: splitName(split), ...(track === undefined ? {} : { track }) };
    yield* streamSniDataset({ ...shared, ...where, setting });
  } else if (kind === 'own') {
    const where = { files: [path], split, ...splittingOf(flags) };
    yield await loadOwnDataset({ ...shared, ...where, setting: system.setting(shots) });
  } else {
    const setting = system.p3Setting({ form: formName(form), shots });
    const census = new P3Census(await readP3Templates(path), notices);
    const where = { directory: path, split: p3SplitName(split), datasets: namesOf(datasets) };
    for await (const packed of streamP3({ ...shared, ...where, setting })) {
      const examples = unpackExamples(packed, notices);
      census.see(examples);
      yield examples;
    }
  }
}

/** Whether an error says that a dataset does not have a split. */
export function isMissingSplit(error: unknown): boolean {
  return error instanceof HintError && /names no \w+ dataset|no record in the split/.test(error.message);
}
