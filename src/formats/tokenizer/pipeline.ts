import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { check } from '../../util/check.js';
import { isPlainObject } from '../../util/record-schema.js';
import { AddedTokens, addedTokensSchema, type AddedToken } from './added-tokens.js';
import { Charsmap } from './charsmap.js';
import { readDecoder } from './decoders.js';
import type { Model } from './models/model.js';
import { readModel } from './models/read.js';
import { readNormalizer, type Normalize } from './normalizers.js';
import { readPostProcessor, type PostProcess } from './post-processors.js';
import { metaspace, readPreTokenizer, type PreTokenizer } from './pre-tokenizers.js';
import { RecentWords } from './recent-words.js';
import { spanOf, type Span } from './span.js';

/** SentencePiece's sign for the space in front of a word. */
const SPACE_SIGN = '\u2581';
const WHITE = [' ', '\n', '\t', '\r'];

const fileSchema = z.object({
  version: z.literal('1.0').optional(),
  added_tokens: addedTokensSchema.default([]),
  normalizer: z.unknown(),
  pre_tokenizer: z.unknown(),
  model: z.unknown(),
  post_processor: z.unknown(),
  decoder: z.unknown(),
});
type File = z.output<typeof fileSchema>;

/** What a tokenizer.json says, part by part: text to ids and back, as the tokenizers package does it. */
export class Pipeline {
  readonly model: Model;
  readonly added: AddedTokens;
  readonly withSpecialTokens: PostProcess;
  private readonly join: (pieces: string[]) => string;
  private readonly normalize: Normalize | undefined;
  private readonly preTokenizer: PreTokenizer;
  private readonly words = new RecentWords();
  /** Whether ids are those of version 0.1.0, which left out parts of other files. */
  readonly keepsIds: boolean;
  /** Ids of stretches of raw text that the parts never look beyond; absent where they do. */
  private readonly stretches: RegExp | undefined;
  private readonly rawStretches = new RecentWords();

  /**
   * @param json a parsed tokenizer.json
   * @param path names it in errors
   * @throws HintError INVALID_FILE naming a part that there is not here, or a field that is not as it should be
   */
  constructor(json: unknown, path: string) {
    const { data, faults } = check(fileSchema, json);
    if (faults) {
      const [issue] = faults;
      throw new HintError(
        'INVALID_FILE',
        `${path} is not a tokenizer: field ${issue.path.join('.') || '(whole file)'} ${issue.message}. Give the tokenizer.json of a model.`,
      );
    }
    const own = ownShape(data);
    this.keepsIds = own !== undefined || (hasOwnWords(data) && isNfkc(data.normalizer));
    const tokens: readonly AddedToken[] = data.added_tokens;
    // SentencePiece takes no control piece and no sentinel for text that only looks like one when it is normalised.
    const leavesOut = new Set(own ? tokens.map(({ content }) => content) : []);
    this.model = readModel(data.model, path, { leavesOut });
    this.normalize = own
      ? (span) => ({ ...span, text: own.normalize(span.text) })
      : readNormalizer(data.normalizer, path);
    this.preTokenizer = own ? OWN_WORDS : readPreTokenizer(data.pre_tokenizer, path);
    this.withSpecialTokens = readPostProcessor(data.post_processor, path);
    this.join = readDecoder(data.decoder, path);
    this.added = new AddedTokens(tokens, this.model, this.normalize, path);
    this.stretches = this.findStretches(data, own);
  }

  /** Appends nothing of its own: the ids of a text as they stand in it. */
  encode(text: string): number[] {
    const ids: number[] = [];
    const whole = spanOf(wellFormed(text), this.preTokenizer.tracksOrigins);
    for (const { span, id } of this.added.cutRaw(whole)) {
      if (id >= 0) ids.push(id);
      else if (this.stretches) this.encodeStretches(span.text, this.stretches, ids);
      else this.encodeSpan(span, ids);
    }
    return ids;
  }

  /** The piece of an id, where there is one. */
  piece(id: number): string | undefined {
    return this.added.piece(id) ?? this.model.piece(id);
  }

  /** The text of ids; those that stand for nothing are left out. */
  decode(ids: readonly number[], skipsSpecialTokens: boolean): string {
    const pieces: string[] = [];
    for (const id of ids) {
      const piece = this.piece(id);
      if (piece !== undefined && !(skipsSpecialTokens && this.added.isSpecial(piece))) pieces.push(piece);
    }
    return pieces.length === 0 ? '' : this.join(pieces);
  }

  private encodeStretches(text: string, stretches: RegExp, ids: number[]): void {
    for (const stretch of text.match(stretches) ?? []) {
      let found = this.rawStretches.get(stretch);
      if (!found) {
        const one: number[] = [];
        this.encodeSpan(spanOf(stretch, false), one);
        this.rawStretches.set(stretch, one);
        found = one;
      }
      for (let i = 0; i < found.length; i++) ids.push(found[i]!);
    }
  }

  private encodeSpan(span: Span, ids: number[]): void {
    const normal = this.normalize ? this.normalize(span) : span;
    for (const stretch of this.added.cutNormalized(normal)) {
      if (stretch.id >= 0) ids.push(stretch.id);
      else for (const { text } of this.preTokenizer.cut(stretch.span)) this.encodeWord(text, ids);
    }
  }

  private encodeWord(word: string, ids: number[]): void {
    if (word === '') return;
    let found = this.words.get(word);
    if (!found) {
      const one: number[] = [];
      this.model.encode(word, one);
      this.words.set(word, one);
      found = one;
    }
    for (let i = 0; i < found.length; i++) ids.push(found[i]!);
  }

  /** How raw text may be cut before any part has seen it, so that words that recur need not be looked at again. */
  private findStretches(json: File, own: Charsmap | undefined): RegExp | undefined {
    if (this.added.hasNormalized) return undefined;
    const isApart = own ? (one: string) => own.isSeparator(one) : separatorsOf(json.normalizer);
    const [first, ...more] = partsOf(json.pre_tokenizer);
    if (!isApart || !first || this.preTokenizer.tracksOrigins) return undefined;
    if (first.type === 'WhitespaceSplit' || own) {
      const apart = WHITE.filter(isApart).join('');
      return apart === '' ? undefined : new RegExp(`[^${apart}]+`, 'g');
    }
    // What stands before a space is cut off, and the space becomes the sign that begins the next piece.
    const fields = first.type === 'Metaspace' ? metaspace.safeParse(first).data : undefined;
    if (!fields?.splits || more.some(({ type }) => type === 'Metaspace') || !isApart(' ')) return undefined;
    return /^[^ ]+| [^ ]*/g;
  }
}

/** The words of T5's own tokenizers, whose normaliser leaves no white space but single spaces between them. */
const OWN_WORDS: PreTokenizer = {
  cut: ({ text }) =>
    text
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => spanOf(SPACE_SIGN + word, false)),
  tracksOrigins: false,
};

/**
 * The normaliser of a tokenizer.json in T5's own shape, which stands for a SentencePiece model: there, ids are those of
 * SentencePiece. It differs from the tokenizers package in clusters of combining marks, and takes U+0085 for no white space.
 */
function ownShape(json: File): Charsmap | undefined {
  const [normalizer, ...others] = partsOf(json.normalizer);
  const blob = normalizer?.type === 'Precompiled' ? normalizer.precompiled_charsmap : undefined;
  if (others.length > 0 || typeof blob !== 'string' || blob === '' || !hasOwnWords(json)) return undefined;
  return new Charsmap(blob);
}

/** A unigram model of words between white space, each behind a space's sign. */
function hasOwnWords(json: File): boolean {
  const [spaces, words, ...more] = partsOf(json.pre_tokenizer);
  if (!isPlainObject(json.model) || json.model.type !== 'Unigram' || more.length > 0) return false;
  if (spaces?.type !== 'WhitespaceSplit' || words?.type !== 'Metaspace') return false;
  const { data } = metaspace.safeParse(words);
  return data?.replacement === SPACE_SIGN && data.scheme === 'always' && data.splits;
}

function isNfkc(normalizer: unknown): boolean {
  const [part, ...others] = partsOf(normalizer);
  return part?.type === 'NFKC' && others.length === 0;
}

/** Whether a character keeps what stands before and behind it apart; undefined where a normaliser looks at more. */
function separatorsOf(json: unknown): ((character: string) => boolean) | undefined {
  const tests = partsOf(json).map(({ type, precompiled_charsmap: blob }) => {
    if (typeof type === 'string' && ['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase'].includes(type))
      return () => true;
    if (type !== 'Precompiled' || typeof blob !== 'string' || blob === '') return undefined;
    const charsmap = new Charsmap(blob);
    return (character: string) => charsmap.isSeparator(character);
  });
  if (tests.includes(undefined)) return undefined;
  return (character) => tests.every((test) => test!(character));
}

/** The parts of a place, those of sequences one by one. */
function partsOf(json: unknown): Record<string, unknown>[] {
  if (!isPlainObject(json)) return [];
  const inner = json.normalizers ?? json.pretokenizers;
  return json.type === 'Sequence' && Array.isArray(inner) ? inner.flatMap(partsOf) : [json];
}

/** Halves of surrogate pairs are no characters; they are read as U+FFFD. */
function wellFormed(text: string): string {
  return /\p{Cs}/u.test(text) ? text.replace(/\p{Cs}/gu, '\ufffd') : text;
}
