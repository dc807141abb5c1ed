import { z } from 'zod';
import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { isWhite, isWordCharacter } from './unicode/characters.js';
import { id } from './models/read.js';
import type { Model } from './models/model.js';
import { CodeUnitTrie } from './models/trie.js';
import { listOf } from '../../util/check.js';
import { sliceOf, spanOf, type Span } from './span.js';
import type { Normalize } from './normalizers.js';

// Every added token is looked for at every place of a text, and held in a trie.
const MOST_ADDED_TOKENS = 20_000;
const LONGEST_TOKEN = 1024;

const addedToken = z
  .object({
    id,
    content: z.string().max(LONGEST_TOKEN),
    single_word: z.boolean().default(false),
    lstrip: z.boolean().default(false),
    rstrip: z.boolean().default(false),
    normalized: z.boolean().optional(),
    special: z.boolean().default(false),
  })
  .transform((token) => ({ ...token, normalized: token.normalized ?? !token.special }));

/** The field `added_tokens` of a tokenizer.json. */
export const addedTokensSchema = listOf(addedToken).refine((tokens) => tokens.length <= MOST_ADDED_TOKENS, {
  error: `must be at most ${MOST_ADDED_TOKENS} tokens`,
});

export type AddedToken = z.output<typeof addedToken>;

/** A stretch of text that is one added token, or one that is none. */
export interface Stretch {
  readonly span: Span;
  /** −1 where it is no added token. */
  readonly id: number;
}

/** Tokens that are found in a text before the model reads it: special ones, and words that were added later. */
export class AddedTokens {
  /** Ids by content. */
  readonly ids = new Map<string, number>();
  private readonly tokens = new Map<number, AddedToken>();
  /** The content that a token has in a normalised text, where that is another. */
  private readonly normalForms = new Map<number, string>();
  private readonly special = new Set<string>();
  private readonly raw: Matcher;
  private readonly normalized: Matcher;

  /**
   * As in the Rust package, a token has the model's id where the model has its content; others are counted on.
   *
   * @throws HintError INVALID_FILE for a token that no text has
   */
  constructor(tokens: readonly AddedToken[], model: Model, normalize: Normalize | undefined, file: string) {
    let next = model.size;
    for (const token of tokens) {
      if (token.content === '') continue;
      const found = this.ids.get(token.content) ?? model.ids.get(token.content) ?? next++;
      this.ids.set(token.content, found);
      this.tokens.set(found, token);
      if (token.special) this.special.add(token.content);
      const normal =
        token.normalized && normalize ? normalize(spanOf(token.content, false)).text : token.content;
      if (normal === '')
        throw new HintError(
          'INVALID_FILE',
          `${file} has the added token ${showValue(token.content)}, of which its normalizer leaves nothing; fetch it again.`,
        );
      if (normal !== token.content) this.normalForms.set(found, normal);
    }
    const all = [...this.tokens];
    this.raw = new Matcher(
      all.filter(([, token]) => !token.normalized).map(([token, { content }]) => [content, token]),
    );
    this.normalized = new Matcher(
      all
        .filter(([, token]) => token.normalized)
        .map(([token, { content }]) => [this.normalForms.get(token) ?? content, token]),
    );
  }

  /** Whether there are tokens that are looked for in the normalised text. */
  get hasNormalized(): boolean {
    return !this.normalized.isEmpty;
  }

  /** What decoders read for an added token. */
  piece(token: number): string | undefined {
    return this.normalForms.get(token) ?? this.tokens.get(token)?.content;
  }

  isSpecial(piece: string): boolean {
    return this.special.has(piece);
  }

  /** Cuts a text at the tokens that are looked for in it as it stands. */
  cutRaw(span: Span): Stretch[] {
    return this.cut(span, this.raw);
  }

  /** Cuts a normalised text at the tokens that are looked for in such. */
  cutNormalized(span: Span): Stretch[] {
    return this.cut(span, this.normalized);
  }

  private cut(span: Span, matcher: Matcher): Stretch[] {
    const { text } = span;
    if (text === '') return [];
    const stretches: Stretch[] = [];
    let last = 0;
    let spaces = 0;
    for (let at = 0; at < text.length;) {
      const match = matcher.next(text, at);
      if (!match) break;
      at = match.end;
      const token = this.tokens.get(match.id)!;
      if (token.single_word && (isWordBefore(text, match.start) || isWordAt(text, match.end))) continue;
      let { start, end } = match;
      if (token.lstrip) {
        // An earlier token may have taken the white space already.
        start = Math.max(start, last);
        while (start > last && isWhite(text.charCodeAt(start - 1))) start--;
      }
      if (token.rstrip) end = spaces = endOfSpaces(text, end, spaces);
      if (last < start) stretches.push({ span: sliceOf(span, last, start), id: -1 });
      stretches.push({ span: sliceOf(span, Math.min(start, end), end), id: match.id });
      last = end;
    }
    if (last < text.length) stretches.push({ span: sliceOf(span, last, text.length), id: -1 });
    return stretches;
  }
}

interface Match {
  readonly start: number;
  readonly end: number;
  readonly id: number;
}

/** Finds the leftmost and longest of many texts. */
class Matcher {
  readonly isEmpty: boolean;
  private readonly trie: CodeUnitTrie;
  private readonly begins = new Uint8Array(0x10000);

  constructor(entries: readonly (readonly [string, number])[]) {
    this.isEmpty = entries.length === 0;
    this.trie = CodeUnitTrie.of(entries);
    for (const [text] of entries) if (text !== '') this.begins[text.charCodeAt(0)] = 1;
  }

  next(text: string, from: number): Match | undefined {
    if (this.isEmpty) return undefined;
    for (let start = from; start < text.length; start++) {
      if (this.begins[text.charCodeAt(start)] === 0) continue;
      let found: Match | undefined;
      let node = 0;
      for (let end = start; end < text.length;) {
        node = this.trie.step(node, text.charCodeAt(end++));
        if (node < 0) break;
        const token = this.trie.value(node);
        if (token >= 0) found = { start, end, id: token };
      }
      if (found) return found;
    }
    return undefined;
  }
}

/**
 * The end of the white space that begins at a place.
 *
 * @param known where white space ends that began before it, so that a token of white space does not read a run of it again
 */
function endOfSpaces(text: string, at: number, known: number): number {
  let end = at < known && isWhite(text.charCodeAt(at)) ? known : at;
  while (end < text.length && isWhite(text.charCodeAt(end))) end++;
  return end;
}

function isWordAt(text: string, at: number): boolean {
  return at < text.length && isWordCharacter(text.codePointAt(at)!);
}

function isWordBefore(text: string, at: number): boolean {
  if (at === 0) return false;
  const pair = at > 1 ? text.codePointAt(at - 2)! : 0;
  return isWordCharacter(pair > 0xffff ? pair : text.charCodeAt(at - 1));
}
