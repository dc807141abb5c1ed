import { HintError, throwIfAborted } from '../../util/errors.js';
import { p3Files, type P3Split } from '../p3/format.js';
import { readLists } from '../p3/promptsource/lists.js';
import { filesBelow } from './files-below.js';
import { Ledger, type Made } from './ledger.js';
import { cachedJobs } from './p3-cached.js';
import { compareP3 } from './p3-published.js';
import { rawJobs } from './p3-raw.js';
import { isRecordFile } from './p3-tasks.js';
import type { PrepareP3Options } from './p3-job.js';
import { checkApart, type PrepareReport } from './report.js';

/**
 * P3 as `hint train` and `hint eval` read it: from its cached form as it is published (`TASK/SPLIT.tfrecord-…`), or from raw
 * rows (`DATASET/SUBSET/SPLIT.jsonl`) with promptsource's templates. Only what the paper trains and evaluates on is taken. What
 * was made by an earlier call stays.
 *
 * @throws HintError INVALID_ARGUMENT where raw rows have no templates, NOT_FOUND, IO, INVALID_FILE for damaged records,
 *   INVALID_JSON, INVALID_DATA, LIMIT_EXCEEDED, ABORTED
 */
export async function prepareP3(options: PrepareP3Options): Promise<PrepareReport> {
  const { source, folder, signal, onProgress } = options;
  checkApart({ source, folder });
  const paths = await sourcePaths(source);
  const isCached = paths.some(isRecordFile);
  const { jobs, others } = isCached
    ? await cachedJobs(options, paths.filter(isRecordFile))
    : await rawJobs(options, paths);
  // What is wrong with the source is told before the folder is made.
  await using ledger = await Ledger.open(folder);
  let [made, kept] = [0, 0];
  for (const { dataset, split, from, write } of jobs) {
    throwIfAborted(signal);
    const file = `${split}/${dataset}.jsonl.gz`;
    const tell = (detail = ''): void =>
      onProgress?.({ done: made + kept, total: jobs.length, file: `${file}${detail}` });
    tell();
    if (await isThere(ledger, file, from, { dataset, split })) kept++;
    else {
      await ledger.make(file, from, (path) => write(path, (rows) => tell(`, ${rows} rows`)));
      made++;
    }
  }
  return { made, kept, ...(await compareP3(folder, others)) };
}

/** A file counts when the lists name it, too: without them no reader finds it. */
async function isThere(
  ledger: Ledger,
  file: string,
  from: string,
  { dataset, split }: { dataset: string; split: P3Split },
): Promise<Made | undefined> {
  const made = await ledger.find(file, from);
  const { templates } = await readLists(ledger.folder);
  const isListed =
    templates.some((one) => one.dataset === dataset) &&
    (await p3Files(ledger.folder, split, [dataset]).then(
      () => true,
      () => false,
    ));
  return isListed ? made : undefined;
}

/** @throws HintError NOT_FOUND where a folder holds no file, IO */
async function sourcePaths(source: string): Promise<string[]> {
  const files = await filesBelow(source, 'the data (a folder)');
  if (files.length > 0) return files;
  throw new HintError(
    'NOT_FOUND',
    `${source} holds no file; give the folder data/ of https://huggingface.co/datasets/bigscience/P3, or raw rows with --templates.`,
  );
}
