// What a space in front of makes the tokenizer's clean-up drop that space; see Tokenizer.decodeAnswer.
const DROPS_SPACE = ['.', '?', '!', ',', "' ", "n't", "'m", "'s", "'ve", "'re"];

/**
 * How much of the text of some tokens no further token changes. A character that is not whole yet may become another
 * one, a space may still be dropped because of what follows it, and one in front of a quote may come back.
 */
export function certainLength(text: string): number {
  let end = text.length;
  while (end > 0 && text[end - 1] === '\uFFFD') end--;
  for (;;) {
    while (end > 0 && text[end - 1] === "'") end--;
    const space = text.lastIndexOf(' ', end - 1);
    if (end === 0 || space < 0) return end;
    const after = text.slice(space + 1, end);
    if (!DROPS_SPACE.some((pattern) => pattern.startsWith(after))) return end;
    end = space;
  }
}

/** The text of one row while its tokens come: what is certain of it, up to the first stop string. */
export class GrowingText {
  /** Whether a stop string was met; the text ends before it. */
  stopped = false;
  private readonly ids: number[] = [];
  private given = '';

  /**
   * @param decode text of token ids
   * @param stops none of them empty
   */
  constructor(
    private readonly decode: (ids: readonly number[]) => string,
    private readonly stops: readonly string[] = [],
  ) {}

  /** Everything given so far. */
  get text(): string {
    return this.given;
  }

  /** Adds a token. Returns the text that is certain now and was not before; often none, or several words. */
  push(token: number): string {
    if (this.stopped) return '';
    this.ids.push(token);
    const text = this.decode(this.ids);
    const certain = text.slice(0, certainLength(text));
    return this.give(certain, certain.length - this.beginOfStop(certain));
  }

  /** The rest of the text, when no more tokens come. */
  finish(): string {
    if (this.stopped) return '';
    const text = this.decode(this.ids);
    return this.give(text, text.length);
  }

  /** Gives `text` up to `end`, or up to the first stop string in it. */
  private give(text: string, end: number): string {
    const found = this.stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    this.stopped = found.length > 0;
    const upTo = Math.max(this.given.length, this.stopped ? Math.min(...found) : end);
    const fresh = text.slice(this.given.length, upTo);
    this.given += fresh;
    return fresh;
  }

  /** Length of the longest end of `text` with which a stop string begins. */
  private beginOfStop(text: string): number {
    const longest = Math.max(0, ...this.stops.map(({ length }) => length - 1));
    for (let length = Math.min(longest, text.length); length > 0; length--) {
      const end = text.slice(-length);
      if (this.stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
