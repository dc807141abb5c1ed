import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { PreTrainedTokenizer } from '@xenova/transformers/src/tokenizers.js';
import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import {
  boolean,
  checked,
  checkedIfGiven,
  integer,
  integerOrAll,
  optional,
  options as optionsOf,
  path as pathKind,
  text as textKind,
  where,
  type Kind,
} from '../../util/arguments.js';
import { check, listOf } from '../../util/check.js';
import { sha256Hex } from '../../util/hash.js';
import { checkBytes, withinSeconds } from '../../util/limits.js';
import { decodeText, parseJson, readBytes } from '../../util/read-file.js';
import { checkParts } from './parts.js';
import { Charsmap, NFKC, type Normalizer } from './charsmap.js';
import { Unigram } from './unigram.js';
import { loadXenovaTokenizers } from './xenova.js';
import { recordOf } from '../../util/record-schema.js';

/** SentencePiece's sign for the space in front of a word. */
const SPACE_SIGN = '\u2581';
/** Longer words (base64, unspaced scripts) hardly repeat and would fill the cache with themselves. */
const LONGEST_CACHED_WORD = 48;
const CACHED_WORDS = 131_072;

const precompiled = z.object({ type: z.literal('Precompiled'), precompiled_charsmap: z.string() });
// Far above any vocabulary; ids are places in arrays.
const id = z
  .int()
  .min(0)
  .max(2 ** 24);
// Every added token is looked for at every place of a text.
const MOST_ADDED_TOKENS = 20_000;
// Units of UTF-16. Every piece is looked for at every place of a word; SentencePiece makes none above 16 unless asked to.
const LONGEST_PIECE = 1024;
// Bytes that the tries of pieces, here and in the package, hold for each unit.
const TRIE_BYTES = 64;

const addedTokens = listOf(z.looseObject({ id, content: z.string().min(1) })).refine(
  (tokens) => tokens.length <= MOST_ADDED_TOKENS,
  { error: `must be at most ${MOST_ADDED_TOKENS} tokens` },
);
const bpeSchema = z.looseObject({
  added_tokens: addedTokens,
  model: z.looseObject({
    type: z.literal('BPE'),
    vocab: recordOf(id),
    // Newer files have pairs where the package reads two words; bytes have no space in their names.
    merges: listOf(
      z.union([z.string(), z.tuple([z.string(), z.string()]).transform((pair) => pair.join(' '))]),
    ),
  }),
});
const tokenizerSchema = z.looseObject({
  added_tokens: addedTokens,
  normalizer: z.union([
    precompiled,
    z.object({ type: z.literal('NFKC') }),
    z.object({ type: z.literal('Sequence'), normalizers: listOf(z.looseObject({ type: z.string() })) }),
  ]),
  model: z.looseObject({
    type: z.literal('Unigram'),
    unk_id: id,
    vocab: listOf(z.tuple([z.string().max(LONGEST_PIECE), z.number()])),
    byte_fallback: z.literal(false).optional(),
  }),
});

/** Options of {@link Tokenizer.encode}. */
export interface EncodeOptions {
  /** Append the end-of-sequence id (default true). */
  addEos?: boolean;
  /** Keep at most this many ids: a plain right cut after EOS was appended, which loses the EOS of a longer text. */
  maxLength?: number;
}

/** Options of {@link Tokenizer.decode}. */
export interface DecodeOptions {
  /** Leave out `<pad>`, `</s>`, `<unk>` and the sentinels (default true). */
  skipSpecialTokens?: boolean;
  /** Hugging Face's clean-up: no space before punctuation and English contractions (default false). */
  cleanUp?: boolean;
}

const LENGTH = integer(0);
const ENCODING = optionsOf<EncodeOptions>({
  addEos: optional(boolean),
  maxLength: optional(integerOrAll(0)),
});
const DECODING = optionsOf<DecodeOptions>({
  skipSpecialTokens: optional(boolean),
  cleanUp: optional(boolean),
});
const IDS: Kind<Int32Array | readonly number[]> = where(
  'an Int32Array or an array of token ids, which are integers',
  (value) =>
    value instanceof Int32Array || (Array.isArray(value) && Array.from(value).every(Number.isInteger)),
);

/**
 * A tokenizer from a Hugging Face `tokenizer.json`: T5's, with the ids of SentencePiece (method §7.4), or the
 * byte-level BPE of GPT-2 and OPT, which @xenova/transformers does as it is. What begins a sequence of OPT is the
 * model's business: no token is put in front.
 *
 * The file is read, checked and decoded by @xenova/transformers; encoding T5's is done here, because that package
 * approximates the normaliser, cannot find pieces outside the basic plane, and overflows the stack on very long
 * words. Where SentencePiece and the Rust tokenizers disagree: combining marks and U+0085 follow SentencePiece,
 * ties of equal score follow the Rust tokenizers, and the names of special tokens inside text become their
 * single id, as in the Rust tokenizers.
 */
export class Tokenizer {
  /** The tokenizer.json this was read from, as an absolute path. */
  readonly file: string;
  /** SHA-256 of that file, 64 hexadecimal digits: names the mapping from text to ids. */
  readonly fingerprint: string;
  /** Number of ids, special ones included; the model's embedding may have more rows. */
  readonly vocabSize: number;
  readonly eosId: number;
  readonly padId: number;
  readonly unkId: number;

  private readonly hf: PreTrainedTokenizer;
  private readonly charsmap: Normalizer;
  /** Absent in a byte-level BPE tokenizer, whose encoding is the package's. */
  private readonly unigram: Unigram | undefined;
  private readonly special: Map<string, number>;
  private readonly specialPattern: RegExp;
  private readonly separators: RegExp;
  private words = new Map<string, readonly number[]>();
  private olderWords = new Map<string, readonly number[]>();

  private constructor(
    file: string,
    fingerprint: string,
    json: z.infer<typeof tokenizerSchema> | z.infer<typeof bpeSchema>,
    charsmap: Normalizer,
    hf: PreTrainedTokenizer,
  ) {
    this.file = file;
    this.fingerprint = fingerprint;
    this.hf = hf;
    this.charsmap = charsmap;
    this.special = new Map(json.added_tokens.map(({ content, id }) => [content, id]));
    this.vocabSize = hf.model.vocab.length;
    if (isUnigram(json)) {
      this.unkId = json.model.unk_id;
      this.eosId = this.idOf('</s>');
      this.padId = this.idOf('<pad>');
      const specialIds = new Set(this.special.values()).add(this.unkId);
      this.unigram = new Unigram(json.model.vocab, this.unkId, (id) => !specialIds.has(id));
    } else {
      // OPT ends sequences with </s>, GPT-2 with its one special token.
      const known = (name: string): number | undefined => this.special.get(name) ?? json.model.vocab[name];
      this.eosId = known('</s>') ?? known('<|endoftext|>') ?? this.idOf('<|endoftext|>');
      this.padId = known('<pad>') ?? this.eosId;
      this.unkId = known('<unk>') ?? this.eosId;
    }
    const names = [...this.special.keys()].sort((a, b) => b.length - a.length);
    this.specialPattern = new RegExp(`(${names.map(escapePattern).join('|')})`);
    this.separators = new RegExp(`[${[...' \n\t\r'].filter((c) => charsmap.isSeparator(c)).join('')}]+`);
  }

  /**
   * Loads a tokenizer. Touches no network.
   *
   * @param path a `tokenizer.json`, or a folder that holds one
   * @throws HintError `NOT_FOUND`, `INVALID_JSON`, `INVALID_FILE` (a field is missing or damaged, or the file is
   *   no Unigram tokenizer with a precompiled normaliser)
   */
  static async load(path: string): Promise<Tokenizer> {
    checked(pathKind, path, 'path');
    const isFolder = await stat(path).then(
      (entry) => entry.isDirectory(),
      () => false,
    );
    const file = resolve(isFolder ? join(path, 'tokenizer.json') : path);
    const bytes = await readBytes(file, 'the tokenizer');
    const raw = parseJson(decodeText(bytes, file), file, 'the tokenizer');
    checkParts(raw, file);
    const bpe = isBpe(raw) ? check(bpeSchema, raw) : undefined;
    if (bpe?.data) return Tokenizer.open(file, bytes, bpe.data, NFKC, { unk_token: '<unk>' });
    const { data, faults } = bpe ?? check(tokenizerSchema, raw);
    if (faults) {
      const [issue] = faults;
      throw new HintError(
        'INVALID_FILE',
        `${file} is not a T5 tokenizer: field ${issue.path.join('.') || '(whole file)'}: ${issue.message}. ` +
          'Give the tokenizer.json of a T5 model (Unigram model, Precompiled normalizer), of GPT-2 or of OPT (byte-level BPE).',
      );
    }
    checkPieces(data.model, file);
    const { normalizer } = data;
    const charsmap = normalizer.type === 'NFKC' ? NFKC : new Charsmap(findCharsmap(normalizer, file));
    const names = { eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };
    return Tokenizer.open(file, bytes, data, charsmap, names);
  }

  private static async open(
    file: string,
    bytes: Uint8Array,
    json: z.infer<typeof tokenizerSchema> | z.infer<typeof bpeSchema>,
    charsmap: Normalizer,
    names: Record<string, string>,
  ): Promise<Tokenizer> {
    const { PreTrainedTokenizer } = await loadXenovaTokenizers();
    try {
      const make = (): Tokenizer =>
        new Tokenizer(
          file,
          sha256Hex(bytes),
          json,
          charsmap,
          new PreTrainedTokenizer(inOlderSpelling(json), names),
        );
      return withinSeconds(file, make);
    } catch (cause) {
      if (cause instanceof HintError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new HintError('INVALID_FILE', `${file} cannot be used as a tokenizer: ${reason}.`, { cause });
    }
  }

  /**
   * The token ids of a text. In T5's tokenizers, white space at either end is dropped and runs of it count as one space. An empty
   * text gives [EOS] (or nothing without `addEos`).
   *
   * @throws HintError `INVALID_ARGUMENT` for what is no text, and for options that there are not
   */
  encode(text: string, options?: EncodeOptions): Int32Array {
    checked(textKind, text, 'text');
    const { addEos = true, maxLength = Infinity } = checkedIfGiven(ENCODING, options, 'options') ?? {};
    const ids = this.unigram ? this.encodeUnigram(text, this.unigram) : this.encodeBytes(text);
    if (addEos) ids.push(this.eosId);
    if (ids.length > maxLength) ids.length = maxLength;
    return new Int32Array(ids);
  }

  /**
   * The text of the first `maxTokens` ids (EOS counted), special tokens left out: for prompts that do not fit.
   *
   * @throws HintError `INVALID_ARGUMENT`
   */
  truncate(text: string, maxTokens: number): string {
    checked(LENGTH, maxTokens, 'maxTokens');
    return this.decode(this.encode(text, { maxLength: maxTokens }), { cleanUp: true });
  }

  /** The number of tokens of a text, EOS included. */
  tokenLength(text: string): number {
    return this.encode(text).length;
  }

  /**
   * The text of token ids. Ids outside the vocabulary read as `<unk>` (the embedding of T5 has 28 rows more than
   * its tokenizer).
   *
   * @throws HintError `INVALID_ARGUMENT` for ids that are no integers, and for options that there are not
   */
  decode(ids: Int32Array | readonly number[], options?: DecodeOptions): string {
    checked(IDS, ids, 'ids');
    return this.decodeIds(ids, checkedIfGiven(DECODING, options, 'options') ?? {});
  }

  private decodeIds(ids: Int32Array | readonly number[], options: DecodeOptions): string {
    // The package refuses to decode no ids at all.
    if (ids.length === 0) return '';
    const known = Array.from(ids, (id) => (id >= 0 && id < this.vocabSize ? id : this.unkId));
    return this.hf.decode(known, {
      skip_special_tokens: options.skipSpecialTokens ?? true,
      clean_up_tokenization_spaces: options.cleanUp ?? false,
    });
  }

  /**
   * The text of a prediction as the metrics read it (method §7.5): cut at the first EOS, special ids and
   * unknowns left out, spaces cleaned up.
   *
   * @throws HintError `INVALID_ARGUMENT` for ids that are no integers
   */
  decodePrediction(ids: Int32Array | readonly number[]): string {
    checked(IDS, ids, 'ids');
    const end = ids.indexOf(this.eosId);
    return this.decodeIds(end < 0 ? ids : ids.slice(0, end), { skipSpecialTokens: true, cleanUp: true });
  }

  private encodeBytes(text: string): number[] {
    return text === '' ? [] : [...this.hf.encode(text, null, { add_special_tokens: false })];
  }

  private encodeUnigram(text: string, unigram: Unigram): number[] {
    const ids: number[] = [];
    const parts = text.split(this.specialPattern);
    for (let i = 0; i < parts.length; i++) {
      if (i % 2 === 1) ids.push(this.special.get(parts[i]!)!);
      else this.encodePlain(parts[i]!, ids, unigram);
    }
    return ids;
  }

  private encodePlain(text: string, ids: number[], unigram: Unigram): void {
    for (const word of text.split(this.separators)) {
      if (word.length === 0) continue;
      const pieces = this.wordPieces(word, unigram);
      for (let i = 0; i < pieces.length; i++) ids.push(pieces[i]!);
    }
  }

  /** The ids of a word of raw text; several normalised words when its normal form has spaces in it. */
  private wordPieces(word: string, unigram: Unigram): readonly number[] {
    let pieces = this.words.get(word);
    if (pieces) return pieces;
    pieces = this.olderWords.get(word);
    if (!pieces) {
      const plain = this.charsmap.keepsPlainAscii && /^[\x21-\x7e]+$/.test(word);
      const normal = plain ? [word] : this.charsmap.normalize(word).split(' ');
      const found: number[] = [];
      for (const part of normal) {
        if (part.length === 0) continue;
        for (const id of unigram.segment(SPACE_SIGN + part)) found.push(id);
      }
      pieces = found;
    }
    if (word.length <= LONGEST_CACHED_WORD) this.remember(word, pieces);
    return pieces;
  }

  /** Two generations instead of a linked list: what was used since the last turn survives the next one. */
  private remember(word: string, pieces: readonly number[]): void {
    if (this.words.size >= CACHED_WORDS) {
      this.olderWords = this.words;
      this.words = new Map();
    }
    // A substring keeps its whole text alive; the copy keeps the word only.
    this.words.set(Buffer.from(word, 'utf16le').toString('utf16le'), pieces);
  }

  private idOf(name: string): number {
    const id = this.special.get(name);
    if (id === undefined)
      throw new HintError(
        'INVALID_FILE',
        `${this.file} has no special token ${name}; it belongs in added_tokens.`,
      );
    return id;
  }
}

/** Newer files say `prepend_scheme` where the package reads `add_prefix_space`; without it every text would begin with a space. */
function inOlderSpelling<T extends { decoder?: unknown }>(json: T): T {
  const decoder = json.decoder as { type?: unknown; prepend_scheme?: unknown } | null | undefined;
  if (decoder?.type !== 'Metaspace' || decoder.prepend_scheme === undefined) return json;
  return { ...json, decoder: { ...decoder, add_prefix_space: decoder.prepend_scheme !== 'never' } };
}

function isBpe(raw: unknown): boolean {
  return (raw as { model?: { type?: unknown } | null } | null)?.model?.type === 'BPE';
}

function checkPieces(
  { vocab, unk_id: unknown }: z.infer<typeof tokenizerSchema>['model'],
  file: string,
): void {
  if (unknown >= vocab.length)
    throw new HintError(
      'INVALID_FILE',
      `${file} has ${vocab.length} pieces, and the piece for unknown text is number ${unknown} (unk_id) of them; fetch it again.`,
    );
  const units = vocab.reduce((sum, [piece]) => sum + piece.length, 0);
  checkBytes(file, 'its pieces have', units, TRIE_BYTES);
}

function isUnigram(json: { model: { type: string } }): json is z.infer<typeof tokenizerSchema> {
  return json.model.type === 'Unigram';
}

function findCharsmap(
  normalizer: Exclude<z.infer<typeof tokenizerSchema>['normalizer'], { type: 'NFKC' }>,
  file: string,
): string {
  if (normalizer.type === 'Precompiled') return normalizer.precompiled_charsmap;
  for (const part of normalizer.normalizers) {
    const found = precompiled.safeParse(part);
    if (found.success) return found.data.precompiled_charsmap;
  }
  throw new HintError(
    'INVALID_FILE',
    `${file} has no Precompiled normalizer; give the tokenizer.json of a T5 model, which has SentencePiece's.`,
  );
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
