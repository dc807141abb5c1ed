import { HintError } from '../../util/errors.js';
import type { Notices } from '../../util/notices.js';
import type { Ragged } from '../batch.js';
import { TokenizerCrew, tokenizerThreads } from '../tokenizing/tokenizer-crew.js';
import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { readGroups, type TextPosition } from './documents.js';
import type { TextFile } from './files.js';
import { readParquetRows, type ParquetJob, type ParquetRows } from '../../formats/parquet/texts.js';
import type { SegmentSettings } from './segments.js';
import { PARQUET_ROWS, runTextJob, TEXT_GROUPS, type TextJob } from './text-job.js';

/** Documents concatenated into one token stream in the original. */
export const DOCUMENTS_PER_GROUP = 128;

/** What a corpus is read with. */
export interface TextReaderOptions {
  tokenizer: Tokenizer;
  settings: SegmentSettings;
  /** Field or column that holds the text. */
  column: string;
  documentsPerGroup: number;
  /** Worker threads; 0 works in the calling thread (default: by the number of cores). */
  threads?: number | undefined;
  /** Gathers what is passed over, as it is met. */
  notices?: Notices | undefined;
}

/** The examples of one group of documents. */
export interface TokenizedGroup {
  /** Three sequences per example: hypernetwork text, input, target, each with EOS. */
  examples: Ragged;
  /** The place behind the group's documents. */
  next: TextPosition;
}

/** Worker threads that read and tokenise text, kept from one pass over a corpus to the next. */
export class TextReader {
  private readonly options: TextReaderOptions;
  private readonly crew: TokenizerCrew | undefined;
  private readonly lookAhead: number;
  private readonly closed = new AbortController();

  /** @throws HintError `INVALID_ARGUMENT`, `NOT_FOUND` when the compiled worker is missing */
  constructor(options: TextReaderOptions) {
    const threads = tokenizerThreads(options.threads);
    this.options = options;
    this.crew = threads === 0 ? undefined : new TokenizerCrew(threads, options.tokenizer);
    this.lookAhead = Math.max(1, 2 * threads);
  }

  /**
   * The groups of one pass from a place on, in order, tokenised ahead.
   *
   * @param files in the order of this pass
   * @param firstGroup number within the pass of the group at `from`
   * @throws HintError as the readers of documents and {@link runTextJob}; `ABORTED` once closed
   */
  async *groups(
    files: readonly TextFile[],
    epoch: number,
    from: TextPosition,
    firstGroup: number,
  ): AsyncGenerator<TokenizedGroup, void, undefined> {
    const { column, documentsPerGroup, settings, notices } = this.options;
    const { signal } = this.closed;
    const underWay: Promise<TokenizedGroup>[] = [];
    const parquet = (job: ParquetJob): Promise<ParquetRows> =>
      this.crew ? this.crew.run(PARQUET_ROWS, job) : readParquetRows(job);
    let group = firstGroup;
    for await (const { documents, next } of readGroups(files, from, documentsPerGroup, {
      column,
      parquet,
      notices,
      signal,
    })) {
      const job = { ...settings, ...documents, column, epoch, group: group++ };
      const result = this.tokenize(job).then((examples) => ({ examples, next }));
      // It is awaited later; until then a failure must not count as unhandled.
      result.catch(() => undefined);
      underWay.push(result);
      if (underWay.length >= this.lookAhead) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  }

  private tokenize(job: TextJob): Promise<Ragged> {
    if (this.crew) return this.crew.run(TEXT_GROUPS, job);
    const { tokenizer } = this.options;
    return runTextJob(job, { idsKey: tokenizer.idsKey, get: () => Promise.resolve(tokenizer) });
  }

  /** Stops all threads and reading, finished or not; resolves when the threads are gone. */
  async close(): Promise<void> {
    this.closed.abort(new HintError('ABORTED', 'The text was closed.'));
    await this.crew?.close();
  }
}
