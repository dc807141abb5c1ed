import { z } from 'zod';
import { DRAWN, type Ragged, type TokenizedExample } from '../../data/batch.js';
import { NOTICED, NOTICES } from '../../data/noticed.js';
import { START } from '../../data/text/documents.js';
import { corpusFingerprint, TEXT_FORMS, type TextFile } from '../../data/text/files.js';
import { TEXT_OBJECTIVES } from '../../data/text/objective.js';
import type { SegmentSettings } from '../../data/text/segments.js';
import { TextReader, type TextReaderOptions, type TokenizedGroup } from '../../data/text/tokenized-groups.js';
import { MOST_TOKENIZER_THREADS } from '../../data/tokenizing/job.js';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { abortable } from '../../util/abortable.js';
import {
  checked,
  checkedIfGiven,
  choice,
  instance,
  integer,
  list,
  name,
  boolean,
  optional,
  options as optionsOf,
  path,
  shaped,
  signal as signalKind,
} from '../../util/arguments.js';
import { CounterRng } from '../../util/counter-rng.js';
import { fnv1a32, sha256Hex } from '../../util/hash.js';
import { parseSafely } from '../../util/parse-safely.js';
import { showValue } from '../../util/show-value.js';
import type { ExampleSource, SourceState } from './example-source.js';

/** Where the texts are, and how they become examples. */
export interface TextSourceOptions extends TextReaderOptions {
  /** Shards of the corpus, in the order in which they are read. */
  files: readonly TextFile[];
  /** Examples that are shuffled together: a block of the stream is read, permuted and given out before the next. */
  shuffleBuffer: number;
}

const OPEN = optionsOf<TextSourceOptions>(
  {
    files: list(
      shaped<TextFile>(
        { path, form: choice(...TEXT_FORMS), gzip: boolean, bytes: integer(0) },
        'what findTextFiles gives, an object { path, form, gzip, bytes }',
      ),
    ),
    tokenizer: instance(Tokenizer, 'a Tokenizer, such as await Tokenizer.load(path)'),
    settings: optionsOf<SegmentSettings>({
      objective: choice(...TEXT_OBJECTIVES),
      splits: choice('independent', 'faithful'),
      segmentTokens: integer(1, 2 ** 31 - 1),
      maxDocumentTokens: integer(1, 2 ** 31 - 1),
      lastSegment: choice('drop', 'pad'),
      seed: integer(0),
    }),
    column: name,
    documentsPerGroup: integer(1, 2 ** 31 - 1),
    shuffleBuffer: integer(1, 2 ** 31 - 1),
    threads: optional(integer(0, MOST_TOKENIZER_THREADS)),
    notices: NOTICES,
  },
  'an object such as { files, tokenizer, settings, column, documentsPerGroup, shuffleBuffer }',
);

const count = z.int().min(0);
const blockStart = z.object({
  epoch: count,
  /** Number of the block within the pass. */
  block: count,
  /** Number of its first group of documents within the pass. */
  group: count,
  /** Where that group begins; `shard` counts in the order of this pass. */
  shard: count,
  line: count,
  byte: count,
});
const stateSchema = blockStart.extend({ position: count });

/** Where a block begins: enough to read it again. */
type BlockStart = z.infer<typeof blockStart>;

interface Block {
  start: BlockStart;
  /** Where the block behind it begins. */
  next: BlockStart;
  /** Per example its group and its number there, in the order in which they are given. */
  order: Int32Array;
  groups: Ragged[];
  /** Per group how many examples of the block are before it. */
  firsts: number[];
}

/**
 * Examples made of text for pretraining (method §4), for ever: pass after pass over a corpus of any size, in
 * constant memory. In every pass files come in a new order, and examples are shuffled within blocks of the stream;
 * documents are split anew. While one block is given out, the next is read and tokenised.
 *
 * The state names a place in the corpus, so that a resumed run reads one block again and nothing before it (a packed
 * file has to be unpacked up to that place).
 */
export class TextSource implements ExampleSource {
  readonly size = undefined;
  private readonly options: TextSourceOptions;
  private readonly reader: TextReader;
  private start: BlockStart = { epoch: 0, block: 0, group: 0, ...START };
  private position = 0;
  private block: Block | undefined;
  /** The block behind the current one, or the current one while it is not there. */
  private coming: { start: BlockStart; block: Promise<Block> } | undefined;
  /** Goes on where the last block that was read ends. */
  private groups: { at: BlockStart; iterator: AsyncIterator<TokenizedGroup, void> } | undefined;

  private constructor(
    options: TextSourceOptions,
    readonly fingerprint: string,
  ) {
    this.options = options;
    this.reader = new TextReader(options);
  }

  /**
   * Opens a corpus. Nothing is tokenised before the first example is asked for.
   *
   * @throws HintError `INVALID_ARGUMENT`, `NOT_FOUND`, `IO`, `ABORTED`
   */
  static async open(given: TextSourceOptions, signal?: AbortSignal): Promise<TextSource> {
    const options = checked(OPEN, given, 'options');
    checkedIfGiven(signalKind, signal, 'signal');
    const { files, tokenizer, settings, column, documentsPerGroup, shuffleBuffer } = options;
    if (files.length === 0)
      throw new HintError('INVALID_ARGUMENT', 'options.files is empty; give what findTextFiles finds.');
    const identity = [VERSION, Object.entries(settings).sort(), column, documentsPerGroup, shuffleBuffer];
    for (const { path: file, bytes } of files) if (bytes === 0) options.notices?.addOnce(NOTICED.empty, file);
    const corpus = await corpusFingerprint(files, signal);
    return new TextSource(options, sha256Hex(JSON.stringify(identity), tokenizer.fingerprint, corpus));
  }

  async next(count: number, signal?: AbortSignal): Promise<TokenizedExample[]> {
    checked(DRAWN, count, 'count');
    checkedIfGiven(signalKind, signal, 'signal');
    const examples: TokenizedExample[] = [];
    while (examples.length < count) {
      throwIfAborted(signal);
      const block = (this.block ??= await this.enter(signal));
      const end = Math.min(block.order.length, this.position + count - examples.length);
      while (this.position < end) examples.push(exampleOf(block, this.position++));
      if (this.position < block.order.length) break;
      this.block = undefined;
      this.start = block.next;
      this.position = 0;
    }
    return examples;
  }

  get state(): SourceState {
    return { ...this.start, position: this.position };
  }

  restore(state: SourceState): void {
    const parsed = parseSafely(stateSchema, state, 'The place in the examples', 'INVALID_CHECKPOINT');
    if (parsed.faults || parsed.data.shard >= this.options.files.length) {
      throw new HintError(
        'INVALID_CHECKPOINT',
        `The checkpoint's place in the text is ${showValue(state)}, which is none of these ${this.options.files.length} files; resume with the text the run was started on.`,
      );
    }
    const { position, ...start } = parsed.data;
    if (this.block && !isSame(this.block.start, start)) this.block = undefined;
    this.start = start;
    this.position = position;
  }

  /** Stops reading and all threads. */
  async close(): Promise<void> {
    await this.reader.close();
    await this.coming?.block.catch(() => undefined);
    // The iterator keeps its file open where reading stopped.
    await this.groups?.iterator.return?.();
    this.groups = undefined;
  }

  /** The block at the current place; begins to read the one behind it. */
  private async enter(signal: AbortSignal | undefined): Promise<Block> {
    const start = this.start;
    if (!this.coming || !isSame(this.coming.start, start)) {
      // One reading at a time: what is under way for another place ends first.
      const before: Promise<unknown> | undefined = this.coming?.block.catch(() => undefined);
      if (before) await abortable(before, signal);
      this.comeNext(start);
    }
    const block = await abortable(this.coming!.block, signal).catch((error: unknown) => {
      // A read that failed is tried again by the next call; one that only was not waited for goes on.
      if (!signal?.aborted) this.coming = undefined;
      throw error;
    });
    if (this.position > block.order.length) {
      throw new HintError(
        'INVALID_CHECKPOINT',
        `Cannot resume at example ${this.position} of a block of ${block.order.length}; resume with the text the run was started on.`,
      );
    }
    this.comeNext(block.next);
    return block;
  }

  private comeNext(start: BlockStart): void {
    const block = this.read(start);
    // The call that enters the block gets its error.
    block.catch(() => undefined);
    this.coming = { start, block };
  }

  private async read(start: BlockStart): Promise<Block> {
    const { shuffleBuffer, settings } = this.options;
    if (!this.groups || !isSame(this.groups.at, start)) {
      await this.groups?.iterator.return?.();
      const iterator = this.reader.groups(this.orderOf(start.epoch), start.epoch, start, start.group);
      this.groups = { at: start, iterator };
    }
    const reading = this.groups;
    // An iterator that fails or ends below is not used again.
    this.groups = undefined;
    const groups: Ragged[] = [];
    const firsts: number[] = [];
    let [size, read] = [0, 0];
    let next: BlockStart | undefined;
    while (size < shuffleBuffer) {
      const group = await reading.iterator.next();
      if (group.done) {
        if (size === 0 && start.block === 0) this.refuseEmpty();
        next = { epoch: start.epoch + 1, block: 0, group: 0, ...START };
        break;
      }
      const { examples } = group.value;
      next = { ...start, ...group.value.next, block: start.block + 1, group: start.group + ++read };
      groups.push(examples);
      firsts.push(size);
      size += (examples.offsets.length - 1) / 3;
    }
    if (next!.epoch === start.epoch) this.groups = { at: next!, iterator: reading.iterator };
    const random = new CounterRng(settings.seed, fnv1a32(`blocks ${start.epoch}`), start.block);
    return { start, next: next!, groups, firsts, order: random.permutation(size) };
  }

  private orderOf(epoch: number): TextFile[] {
    const { files, settings } = this.options;
    const random = new CounterRng(settings.seed, fnv1a32(`files ${epoch}`));
    return Array.from(random.permutation(files.length), (i) => files[i]!);
  }

  private refuseEmpty(): never {
    const { files, settings } = this.options;
    throw new HintError(
      'INVALID_DATA',
      `The text (${files.length} files, the first is ${files[0]?.path}) gives no segment of ${settings.segmentTokens} tokens; give more text, or set data.lastSegment to pad or data.segmentTokens lower.`,
    );
  }
}

/** Raise when examples change for the same text and settings. */
const VERSION = 1;

function exampleOf({ start, order, groups, firsts }: Block, position: number): TokenizedExample {
  const index = order[position]!;
  let [low, high] = [0, firsts.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (firsts[middle]! <= index) low = middle;
    else high = middle - 1;
  }
  const { ids, offsets } = groups[low]!;
  const row = 3 * (index - firsts[low]!);
  const sequence = (i: number): Int32Array => ids.subarray(offsets[row + i], offsets[row + i + 1]);
  return {
    id: `text-${start.epoch}-${start.group + low}-${row / 3}`,
    task: 'text',
    instruction: sequence(0),
    input: sequence(1),
    target: sequence(2),
    references: [],
  };
}

function isSame(a: BlockStart, b: BlockStart): boolean {
  return a.epoch === b.epoch && a.block === b.block && a.group === b.group;
}
