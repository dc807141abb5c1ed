/**
 * A stretch of a text on its way to tokens. Where a part asks whether a stretch is the first of its text, `origins` says for
 * each UTF-16 unit where in the original text it came from; elsewhere nobody pays for that.
 */
export interface Span {
  readonly text: string;
  readonly origins: readonly number[] | undefined;
  /** Where the stretch begins in the original text; 0 where nobody asks. */
  readonly from: number;
}

/** What becomes of a place that a pattern has matched. */
export type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

export const BEHAVIORS: readonly Behavior[] = [
  'Removed',
  'Isolated',
  'MergedWithPrevious',
  'MergedWithNext',
  'Contiguous',
];

/** The whole of a text. */
export function spanOf(text: string, tracksOrigins: boolean): Span {
  if (!tracksOrigins) return { text, origins: undefined, from: 0 };
  const origins: number[] = [];
  for (let at = 0; at < text.length; at++) origins.push(isInsidePair(text, at) ? at - 1 : at);
  return { text, origins, from: 0 };
}

export function sliceOf(span: Span, start: number, end: number): Span {
  const { text, origins } = span;
  if (start === 0 && end === text.length && (!origins || origins[0] === span.from)) return span;
  return {
    text: text.slice(start, end),
    origins: origins?.slice(start, end),
    from: origins?.[start] ?? 0,
  };
}

/** Puts a text in front of a span that is not empty; what is new came from where the first character did. */
export function prepended(span: Span, text: string): Span {
  const { origins } = span;
  return {
    text: text + span.text,
    origins: origins && [...Array<number>(text.length).fill(origins[0] ?? span.from), ...origins],
    from: span.from,
  };
}

/**
 * Replaces matches.
 *
 * @param matches pairs of start and end, in order
 */
export function replaced(span: Span, matches: readonly number[], content: string): Span {
  if (matches.length === 0) return span;
  const { text, origins } = span;
  const parts: string[] = [];
  const moved: number[] | undefined = origins && [];
  let last = 0;
  for (let i = 0; i < matches.length; i += 2) {
    const start = matches[i]!;
    const end = matches[i + 1]!;
    parts.push(text.slice(last, start), content);
    if (origins && moved) {
      for (let at = last; at < start; at++) moved.push(origins[at]!);
      for (let at = 0; at < content.length; at++) moved.push(end > 0 ? origins[end - 1]! : span.from);
    }
    last = end;
  }
  parts.push(text.slice(last));
  if (origins && moved) for (let at = last; at < text.length; at++) moved.push(origins[at]!);
  return { text: parts.join(''), origins: moved, from: span.from };
}

/**
 * Replaces pieces of a text by a function of each.
 *
 * @param pieces matches without gaps from the start of the text to its end, as a global expression
 */
export function mapped(span: Span, pieces: RegExp, map: (piece: string) => string): Span {
  const { text, origins } = span;
  if (!origins) return { text: text.replace(pieces, map), origins, from: 0 };
  const moved: number[] = [];
  let at = 0;
  const changed = text.replace(pieces, (piece) => {
    const result = map(piece);
    for (let i = 0; i < result.length; i++) moved.push(origins[at + Math.min(i, piece.length - 1)]!);
    at += piece.length;
    return result;
  });
  return { text: changed, origins: moved, from: span.from };
}

/**
 * Cuts a span at matches.
 *
 * @param matches pairs of start and end, in order
 * @param invert what did not match counts as matched, and the other way around
 */
export function split(span: Span, matches: readonly number[], behavior: Behavior, invert = false): Span[] {
  const { text } = span;
  if (text.length === 0) return [];
  if (matches.length === 0 && !invert) return [span];
  const pieces: Piece[] = [];
  let last = 0;
  for (let i = 0; i < matches.length; i += 2) {
    const start = matches[i]!;
    const end = matches[i + 1]!;
    if (last < start) pieces.push({ start: last, end: start, isMatch: invert });
    pieces.push({ start, end, isMatch: !invert });
    last = end;
  }
  if (last < text.length) pieces.push({ start: last, end: text.length, isMatch: invert });
  const spans: Span[] = [];
  for (const { start, end } of joined(pieces, behavior))
    if (start < end) spans.push(sliceOf(span, start, end));
  return spans;
}

interface Piece {
  start: number;
  end: number;
  readonly isMatch: boolean;
}

function joined(pieces: Piece[], behavior: Behavior): Piece[] {
  if (behavior === 'Isolated') return pieces;
  if (behavior === 'Removed') return pieces.filter(({ isMatch }) => !isMatch);
  if (behavior === 'MergedWithNext') return joinedToNext(pieces);
  const result: Piece[] = [];
  let before = false;
  for (const piece of pieces) {
    const joins = behavior === 'Contiguous' ? piece.isMatch === before : piece.isMatch && !before;
    const previous = result.at(-1);
    if (joins && previous) previous.end = piece.end;
    else result.push(piece);
    before = piece.isMatch;
  }
  return result;
}

function joinedToNext(pieces: Piece[]): Piece[] {
  const result: Piece[] = [];
  let before = false;
  for (let i = pieces.length - 1; i >= 0; i--) {
    const piece = pieces[i]!;
    const next = result.at(-1);
    if (piece.isMatch && !before && next) next.start = piece.start;
    else result.push(piece);
    before = piece.isMatch;
  }
  return result.reverse();
}

/** Pairs of start and end of the characters that are in a set, each a match of its own. */
export function matchesOf(text: string, has: (code: number) => boolean): number[] {
  const matches: number[] = [];
  for (let at = 0; at < text.length;) {
    const code = text.codePointAt(at)!;
    const end = at + (code > 0xffff ? 2 : 1);
    if (has(code)) matches.push(at, end);
    at = end;
  }
  return matches;
}

/** Pairs of start and end of the places where a text stands that is not empty. */
export function placesOf(text: string, searched: string): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(searched); at >= 0; at = text.indexOf(searched, at + searched.length))
    places.push(at, at + searched.length);
  return places;
}

function isInsidePair(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return at > 0 && unit >= 0xdc00 && unit <= 0xdfff;
}
