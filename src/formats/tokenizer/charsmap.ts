import { HintError } from '../../util/errors.js';
import { checkBytesSoFar } from '../../util/limits.js';
import type { Span } from './span.js';

/** Printable ASCII without the space: what most words of English text are made of. */
const FIRST_PLAIN = 0x21;
const LAST_PLAIN = 0x7e;

const PLAIN = /^[\x21-\x7e]*$/;
const PLAIN_AND_SPACES = /^[\x20-\x7e]*$/;
// The Rust tokenizers look no longer cluster up as a whole.
const CLUSTER_BYTES = 6;
const MOST_CLUSTERS = 50_000;

// The bytes, a buffer of twice as many, and the text that they become.
const NORMAL_FACTOR = 4;

/**
 * SentencePiece's precompiled normaliser: a double-array trie over UTF-8 bytes whose values are offsets into a
 * block of replacement strings. At every position the longest matching key is replaced; bytes without a key are
 * copied. That is {@link normalize}. The Rust tokenizers look at the text cluster by cluster instead, which differs where
 * a cluster has several characters: {@link normalizeSpan}.
 */
export class Charsmap {
  private readonly units: Uint32Array;
  private readonly strings: Uint8Array;
  private output = new Uint8Array(256);

  /** True when a word of printable ASCII is its own normal form, so that it need not be looked at. */
  readonly keepsPlainAscii: boolean;
  private readonly keepsSpace: boolean;
  /** What clusters become in the Rust tokenizers; undefined where they are looked at character by character. */
  private readonly clusters = new Map<string, string | undefined>();

  /**
   * @param base64 the `precompiled_charsmap` field of a tokenizer.json
   * @throws HintError `INVALID_FILE` when the blob is cut off
   */
  constructor(base64: string) {
    const blob = Buffer.from(base64, 'base64');
    const trieBytes = blob.byteLength >= 4 ? blob.readUInt32LE(0) : 0;
    if (trieBytes < 4 || trieBytes % 4 !== 0 || 4 + trieBytes > blob.byteLength)
      throw new HintError(
        'INVALID_FILE',
        `The precompiled_charsmap of the tokenizer is damaged: it announces ${trieBytes} bytes of trie and has ${blob.byteLength - 4}; fetch tokenizer.json again.`,
      );
    this.units = new Uint32Array(trieBytes / 4);
    for (let i = 0; i < this.units.length; i++) this.units[i] = blob.readUInt32LE(4 + 4 * i);
    this.strings = blob.subarray(4 + trieBytes);
    this.keepsPlainAscii = this.hasNoPlainKey();
    this.keepsSpace = this.longestKey(Buffer.from(' '), 0).bytes === 0 && this.isSeparator(' ');
  }

  /** The normal form of a span as the Rust tokenizers have it; see {@link Span}. */
  normalizeSpan(span: Span): Span {
    const { text } = span;
    if (this.keepsPlainAscii && (this.keepsSpace ? PLAIN_AND_SPACES : PLAIN).test(text)) return span;
    const changes = new Changes(span);
    for (const cluster of clustersOf(text)) {
      const whole = Buffer.byteLength(cluster) < CLUSTER_BYTES ? this.replacement(cluster) : undefined;
      if (whole !== undefined) changes.replace(cluster, whole);
      else for (const character of cluster) changes.replace(character, this.replacement(character));
    }
    return changes.finish();
  }

  /** What a whole cluster becomes: what the shortest key does that it begins with, as the Rust tokenizers have it. */
  private replacement(cluster: string): string | undefined {
    if (this.clusters.has(cluster)) return this.clusters.get(cluster);
    if (this.clusters.size >= MOST_CLUSTERS) this.clusters.clear();
    const key = this.shortestKey(Buffer.from(cluster, 'utf8'));
    const found = key < 0 ? undefined : this.stringAt(key);
    this.clusters.set(cluster, found);
    return found;
  }

  private stringAt(value: number): string {
    const start = Math.min(value, this.strings.length);
    const end = this.endOfString(start);
    checkBytesSoFar('A text', 'the tokenizer makes of it', end - start, NORMAL_FACTOR);
    return Buffer.from(this.strings.subarray(start, end)).toString('utf8');
  }

  private shortestKey(input: Uint8Array): number {
    let node = unitOffset(this.units[0]!);
    for (const byte of input) {
      if (byte === 0) break;
      node ^= byte;
      const unit = this.units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) break;
      node ^= unitOffset(unit);
      if (((unit >>> 8) & 1) === 1) return (this.units[node] ?? 0) & 0x7fffffff;
    }
    return -1;
  }

  /**
   * The normal form of `text`; lone surrogates are read as U+FFFD.
   *
   * @throws HintError LIMIT_EXCEEDED where a damaged table makes a text too long
   */
  normalize(text: string): string {
    const input = Buffer.from(text, 'utf8');
    let length = 0;
    for (let position = 0; position < input.length;) {
      const { bytes, value } = this.longestKey(input, position);
      const from = bytes > 0 ? this.strings : input;
      // A damaged value may lie behind the strings.
      const start = bytes > 0 ? Math.min(value, from.length) : position;
      const end = bytes > 0 ? this.endOfString(start) : position + utf8Length(input[position]!);
      this.reserve(length + end - start);
      this.output.set(from.subarray(start, end), length);
      length += end - start;
      position += bytes > 0 ? bytes : end - start;
    }
    return Buffer.from(this.output.buffer, 0, length).toString('utf8');
  }

  /** True when `character` becomes a space and begins no longer key: text may be cut at it before normalising. */
  isSeparator(character: string): boolean {
    const bytes = Buffer.from(character, 'utf8');
    const { bytes: matched, value } = this.longestKey(bytes, 0);
    const becomesSpace =
      matched === 0
        ? character === ' '
        : matched === bytes.length && this.strings[value] === 0x20 && this.endOfString(value) === value + 1;
    if (!becomesSpace) return false;
    const extended = Buffer.concat([bytes, Buffer.of(0)]);
    for (let next = 1; next < 256; next++) {
      extended[bytes.length] = next;
      if (this.reaches(extended)) return false;
    }
    return true;
  }

  private longestKey(input: Uint8Array, start: number): { bytes: number; value: number } {
    const units = this.units;
    let node = unitOffset(units[0]!);
    let bytes = 0;
    let value = 0;
    for (let i = start; i < input.length; i++) {
      node ^= input[i]!;
      const unit = units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== input[i]) break;
      node ^= unitOffset(unit);
      if (((unit >>> 8) & 1) === 1) {
        bytes = i + 1 - start;
        value = (units[node] ?? 0) & 0x7fffffff;
      }
    }
    return { bytes, value };
  }

  private reaches(key: Uint8Array): boolean {
    let node = unitOffset(this.units[0]!);
    for (const byte of key) {
      node ^= byte;
      const unit = this.units[node];
      if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return false;
      node ^= unitOffset(unit);
    }
    return true;
  }

  private hasNoPlainKey(): boolean {
    const pair = new Uint8Array(2);
    for (let first = FIRST_PLAIN; first <= LAST_PLAIN; first++) {
      pair[0] = first;
      if (this.longestKey(pair.subarray(0, 1), 0).bytes > 0) return false;
      for (let second = FIRST_PLAIN; second <= LAST_PLAIN; second++) {
        pair[1] = second;
        if (this.reaches(pair)) return false;
      }
    }
    return true;
  }

  private endOfString(start: number): number {
    const end = this.strings.indexOf(0, start);
    return end < 0 ? this.strings.length : end;
  }

  private reserve(length: number): void {
    if (length <= this.output.length) return;
    // Replacements may be as long as the whole table.
    checkBytesSoFar('A text', 'the tokenizer makes of it', length, NORMAL_FACTOR);
    const larger = new Uint8Array(2 * length);
    larger.set(this.output);
    this.output = larger;
  }
}

function unitOffset(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

function utf8Length(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// Characters that may join others: marks, modifiers of emoji, joiners, and what stands in front of a number.
const JOINS =
  /[\r\p{M}\p{Emoji_Modifier}\p{Cf}\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff\u0d4e\u0e33\u0eb3\uff9e\uff9f\u{111c2}\u{111c3}\u{113d1}\u{1193f}\u{11941}\u{11a3a}\u{11a84}-\u{11a89}\u{11d46}\u{11f02}]/u;
let segmenter: Intl.Segmenter | undefined;

// The segmenter takes time by the square of a text's length.
const WINDOW = 1024;

/** The characters that a reader sees, each of one or several code points. */
function* clustersOf(text: string): Generator<string> {
  if (!JOINS.test(text)) {
    yield* text;
    return;
  }
  // Made when it is needed, because making it reads large tables.
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  for (let start = 0, width = WINDOW; start < text.length;) {
    const end = Math.min(text.length, start + width);
    const clusters = Array.from(segmenter.segment(text.slice(start, end)), ({ segment }) => segment);
    // The last one of a window may go on behind it.
    if (end < text.length) clusters.pop();
    for (const cluster of clusters) {
      yield cluster;
      start += cluster.length;
    }
    width = clusters.length === 0 ? 2 * width : WINDOW;
  }
}

/** A text that is replaced piece by piece, with the origins that the Rust tokenizers give to what is new. */
class Changes {
  private readonly parts: string[] = [];
  private length = 0;
  private readonly origins: number[] | undefined;
  /** Where in the old text the next piece is taken to stand; what is left out at the start is not counted. */
  private at = 0;

  constructor(private readonly span: Span) {
    this.origins = span.origins && [];
  }

  replace(old: string, text = old): void {
    this.parts.push(text);
    this.length += text.length;
    if (text.length > old.length)
      checkBytesSoFar('A text', 'the tokenizer makes of it', this.length, NORMAL_FACTOR);
    const from = this.span.origins;
    if (!from || !this.origins) return;
    const before = [...old];
    [...text].forEach((character, i) => {
      const origin = i < before.length ? from[this.at] : this.at > 0 ? from[this.at - 1] : this.span.from;
      if (i < before.length) this.at += before[i]!.length;
      for (let unit = 0; unit < character.length; unit++) this.origins!.push(origin ?? this.span.from);
    });
    if (this.origins.length > 0) for (const left of before.slice([...text].length)) this.at += left.length;
  }

  finish(): Span {
    return { text: this.parts.join(''), origins: this.origins, from: this.span.from };
  }
}
