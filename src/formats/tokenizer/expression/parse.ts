import { byExpression, foldedSet, type CharacterSet } from '../unicode/characters.js';

/** A regular expression as a tree. */
export type Node =
  | { readonly kind: 'class'; readonly has: CharacterSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'alternatives'; readonly parts: readonly Node[] }
  | {
      readonly kind: 'repeat';
      readonly part: Node;
      readonly min: number;
      readonly max: number;
      readonly mode: 'greedy' | 'lazy' | 'possessive';
    }
  | { readonly kind: 'look'; readonly part: Node; readonly behind: boolean; readonly negative: boolean }
  | { readonly kind: 'place'; readonly place: Place };

/** Where a match may stand: ends of the text and of lines, edges of words. */
export type Place = 'start' | 'end' | 'end-or-line-feed' | 'line-start' | 'line-end' | 'edge' | 'no-edge';

/** Why an expression cannot be used, as the rest of a sentence that names it. */
export class ExpressionFault extends Error {}

const MOST_LEVELS = 50;
const MOST_REPETITIONS = 1000;
const LONGEST_EXPRESSION = 4000;

const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]';
// Oniguruma has the fractions and superscripts of Latin-1 among words where \w stands outside of brackets, and only there.
const LONE_WORD = `[${WORD}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}]`;
/** What \w stands for, and what words are made of that \b is the edge of. */
export const isWordCharacter: CharacterSet = byExpression(LONE_WORD);
const SHORTHANDS: Readonly<Record<string, string>> = {
  s: '\\p{White_Space}',
  d: '\\p{Nd}',
  w: WORD,
  h: '[0-9a-fA-F]',
};
const BRACKETS: Readonly<Record<string, string>> = {
  alpha: '\\p{Alphabetic}',
  alnum: '[\\p{Alphabetic}\\p{Nd}]',
  digit: '\\p{Nd}',
  space: '\\p{White_Space}',
  upper: '\\p{Uppercase}',
  lower: '\\p{Lowercase}',
  punct: '[\\p{P}\\p{S}]',
  word: WORD,
  xdigit: '[0-9a-fA-F]',
  cntrl: '\\p{Cc}',
  blank: '[\\p{Zs}\\t]',
  ascii: '[\\0-\\x7f]',
};
const CONTROL: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, a: 7, e: 27 };
const PLACES: Readonly<Record<string, Place>> = {
  A: 'start',
  z: 'end',
  Z: 'end-or-line-feed',
  b: 'edge',
  B: 'no-edge',
};

/**
 * Reads an expression as Oniguruma's Ruby syntax has it, which the tokenizers package uses.
 *
 * @throws ExpressionFault for what is no expression, and for parts of the syntax that there are not here
 */
export function parseExpression(source: string): Node {
  if (source.length > LONGEST_EXPRESSION)
    throw new ExpressionFault(`of more than ${LONGEST_EXPRESSION} characters`);
  return new Parser(source).read();
}

interface Options {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

class Parser {
  private readonly source: readonly string[];
  private at = 0;
  private levels = 0;

  constructor(source: string) {
    this.source = [...source];
  }

  read(): Node {
    const node = this.alternatives({ ignoreCase: false, dotAll: false });
    if (this.at < this.source.length) throw new ExpressionFault('with a bracket too many');
    return node;
  }

  private alternatives(options: Options): Node {
    if (++this.levels > MOST_LEVELS)
      throw new ExpressionFault(`with more than ${MOST_LEVELS} levels of groups`);
    const parts: Node[] = [];
    let current: Node[] = [];
    while (this.at < this.source.length && this.source[this.at] !== ')') {
      if (this.take('|')) {
        parts.push({ kind: 'sequence', parts: current });
        current = [];
        continue;
      }
      const group = this.optionGroup(options);
      if (group) {
        // Options that are set without a group of their own hold for all that follows, alternatives included.
        current.push(this.alternatives(group));
        continue;
      }
      current.push(this.repeated(this.atom(options)));
    }
    parts.push({ kind: 'sequence', parts: current });
    this.levels--;
    return parts.length === 1 ? parts[0]! : { kind: 'alternatives', parts };
  }

  private optionGroup(options: Options): Options | undefined {
    const match = /^\(\?([a-z]*)(?:-([a-z]*))?\)/.exec(this.rest(16));
    if (!match) return undefined;
    this.at += match[0].length;
    return changed(options, match[1]!, match[2] ?? '');
  }

  private repeated(atom: Node): Node {
    let node = atom;
    for (;;) {
      const bounds = this.bounds();
      if (!bounds) return node;
      if (node.kind === 'place' || node.kind === 'look') throw new ExpressionFault('that repeats a place');
      const { min, max, interval } = bounds;
      if (min > MOST_REPETITIONS || (max !== Infinity && max > MOST_REPETITIONS))
        throw new ExpressionFault(`with more than ${MOST_REPETITIONS} repetitions`);
      // Behind an interval, a plus repeats the interval.
      const mode = this.take('?') ? 'lazy' : !interval && this.take('+') ? 'possessive' : 'greedy';
      if (mode === 'possessive' && node.kind !== 'class')
        throw new ExpressionFault('with a possessive repetition of a group');
      node = { kind: 'repeat', part: node, min, max, mode };
    }
  }

  private bounds(): { min: number; max: number; interval: boolean } | undefined {
    if (this.take('*')) return { min: 0, max: Infinity, interval: false };
    if (this.take('+')) return { min: 1, max: Infinity, interval: false };
    if (this.take('?')) return { min: 0, max: 1, interval: false };
    const match = /^\{(\d+)?(,)?(\d+)?\}/.exec(this.rest(16));
    if (!match || (match[1] === undefined && match[3] === undefined)) return undefined;
    this.at += match[0].length;
    const min = Number(match[1] ?? 0);
    const max = match[3] !== undefined ? Number(match[3]) : match[2] ? Infinity : min;
    if (max < min) throw new ExpressionFault('with an interval that ends before it begins');
    return { min, max, interval: true };
  }

  private atom(options: Options): Node {
    const character = this.next();
    if (character === '(') return this.group(options);
    if (character === '[') return this.class(options);
    if (character === '.') return classOf(options.dotAll ? '[^]' : '[^\\n]');
    if (character === '^') return { kind: 'place', place: 'line-start' };
    if (character === '$') return { kind: 'place', place: 'line-end' };
    if (character === '*' || character === '+' || character === '?')
      throw new ExpressionFault('that repeats nothing');
    if (character !== '\\') return literal(character.codePointAt(0)!, options);
    const escaped = this.source[this.at] ?? '';
    const place = PLACES[escaped];
    if (place !== undefined && Object.hasOwn(PLACES, escaped)) {
      this.at++;
      return { kind: 'place', place };
    }
    const source = this.escape();
    const negative = `[^${WORD}]`;
    const code = codeOf(source);
    if (code !== undefined) return literal(code, options);
    return classOf(source === WORD ? LONE_WORD : source === negative ? `[^${LONE_WORD}]` : source);
  }

  private group(options: Options): Node {
    let inner = options;
    let look: { behind: boolean; negative: boolean } | undefined;
    if (this.take('?')) {
      const rest = this.rest(40);
      const head =
        /^(?::|=|!|<=|<!|<[\p{L}_][\p{L}\p{N}_]*>|'[\p{L}_][\p{L}\p{N}_]*'|([a-z]*)(?:-([a-z]*))?:)/u.exec(
          rest,
        );
      if (!head) {
        if (rest.startsWith('#')) throw new ExpressionFault('with a comment');
        throw new ExpressionFault(
          rest.startsWith('>') ? 'with an atomic group' : `with a group (?${rest.slice(0, 1)}`,
        );
      }
      this.at += [...head[0]].length;
      if (['=', '!', '<=', '<!'].includes(head[0]))
        look = { behind: head[0].startsWith('<'), negative: head[0].endsWith('!') };
      else if (head[1] !== undefined) inner = changed(options, head[1], head[2] ?? '');
    }
    const part = this.alternatives(inner);
    if (!this.take(')')) throw new ExpressionFault('with a group that does not end');
    return look ? { kind: 'look', part, ...look } : { kind: 'sequence', parts: [part] };
  }

  private class(options: Options): Node {
    if (!options.ignoreCase) return classOf(this.bracket());
    // Case is looked beyond before the class is turned into what it leaves out.
    const negative = this.take('^');
    const has = foldedSet(setOf(this.bracket()));
    return { kind: 'class', has: negative ? (code) => !has(code) : has };
  }

  /** Behind its opening bracket: the class as JavaScript has it. */
  private bracket(): string {
    if (++this.levels > MOST_LEVELS)
      throw new ExpressionFault(`with more than ${MOST_LEVELS} levels of groups`);
    const negative = this.take('^') ? '^' : '';
    const sets: string[] = [];
    let items = '';
    let first = true;
    for (;;) {
      if (this.at >= this.source.length) throw new ExpressionFault('with a class that does not end');
      if (!first && this.take(']')) break;
      first = false;
      if (this.source[this.at] === '&' && this.source[this.at + 1] === '&') {
        this.at += 2;
        sets.push(`[${items}]`);
        items = '';
        continue;
      }
      items += this.bracketItem();
    }
    this.levels--;
    sets.push(`[${items}]`);
    return `[${negative}${sets.join('&&')}]`;
  }

  private bracketItem(): string {
    if (this.source[this.at] === '[') {
      const named = /^\[:(\^?)([a-z]+):\]/.exec(this.rest(16));
      if (named) {
        const set = Object.hasOwn(BRACKETS, named[2]!) ? BRACKETS[named[2]!] : undefined;
        if (set === undefined) throw new ExpressionFault(`with the class [:${named[2]}:]`);
        this.at += named[0].length;
        return named[1] ? `[^${set}]` : set;
      }
      this.at++;
      return this.bracket();
    }
    const from = this.bracketCharacter();
    if (from.isSet || this.source[this.at] !== '-' || [']', undefined].includes(this.source[this.at + 1]))
      return from.text;
    this.at++;
    if (this.source[this.at] === '[') return `${from.text}\\-`;
    const to = this.bracketCharacter();
    if (to.isSet) return `${from.text}\\-${to.text}`;
    if (from.code > to.code) throw new ExpressionFault('with a range that ends before it begins');
    return `${from.text}-${to.text}`;
  }

  private bracketCharacter(): { text: string; isSet: boolean; code: number } {
    const character = this.next();
    if (character !== '\\')
      return { text: escaped(character), isSet: false, code: character.codePointAt(0)! };
    if (this.take('b')) return { text: '\\x08', isSet: false, code: 8 };
    const text = this.escape();
    const code = codeOf(text);
    return { text, isSet: code === undefined, code: code ?? -1 };
  }

  /** Behind a backslash: a class, or a character as \u{…}. */
  private escape(): string {
    const letter = this.next();
    const shorthand = letter.toLowerCase();
    if (Object.hasOwn(SHORTHANDS, shorthand) && /[a-z]/i.test(letter))
      return letter === shorthand ? SHORTHANDS[shorthand]! : `[^${SHORTHANDS[shorthand]!}]`;
    if (Object.hasOwn(CONTROL, letter)) return `\\u{${CONTROL[letter]!.toString(16)}}`;
    if (letter === 'p' || letter === 'P') return this.property(letter === 'P');
    if (letter === 'x' || letter === 'u') {
      const digits = letter === 'u' ? /^([0-9a-fA-F]{4})/ : /^(?:\{([0-9a-fA-F]{1,8})\}|([0-9a-fA-F]{1,2}))/;
      const match = digits.exec(this.rest(12));
      const code = parseInt(match?.[1] ?? match?.[2] ?? '', 16);
      if (!match || !(code <= 0x10ffff))
        throw new ExpressionFault(`with \\${letter} and no character behind it`);
      this.at += match[0].length;
      return `\\u{${code.toString(16)}}`;
    }
    if (letter === '0') return '\\u{0}';
    if (/[1-9k]/.test(letter)) throw new ExpressionFault('that refers back to a group');
    if (/[a-zA-Z]/.test(letter)) throw new ExpressionFault(`with \\${letter}`);
    return escaped(letter);
  }

  private property(isNegative: boolean): string {
    const match = /^\{(\^?)([^{}]+)\}/.exec(this.rest(48));
    if (!match) throw new ExpressionFault('with \\p and no property behind it');
    this.at += [...match[0]].length;
    const negative = isNegative !== (match[1] === '^');
    const name = match[2]!;
    const plain = name.toLowerCase().replace(/[\s_-]/g, '');
    const bracket = Object.hasOwn(BRACKETS, plain) ? BRACKETS[plain] : undefined;
    const titled = name.charAt(0).toUpperCase() + name.slice(1).toLowerCase();
    const candidates = bracket
      ? [bracket]
      : [name, titled, `Script=${name}`, `Script=${titled}`].map((property) => `\\p{${property}}`);
    const known = candidates.find(isClass);
    if (known === undefined) throw new ExpressionFault(`with the property \\p{${name}}`);
    return negative ? `[^${known}]` : known;
  }

  private next(): string {
    const character = this.source[this.at++];
    if (character === undefined) throw new ExpressionFault('that ends with a backslash or an open group');
    return character;
  }

  private take(character: string): boolean {
    if (this.source[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private rest(length: number): string {
    return this.source.slice(this.at, this.at + length).join('');
  }
}

function changed(options: Options, on: string, off: string): Options {
  for (const letter of on + off)
    if (!'im'.includes(letter)) throw new ExpressionFault(`with the option ${letter}`);
  const set = (letter: string, before: boolean): boolean =>
    off.includes(letter) ? false : on.includes(letter) || before;
  return { ignoreCase: set('i', options.ignoreCase), dotAll: set('m', options.dotAll) };
}

function literal(code: number, options: Options): Node {
  const only = (other: number): boolean => other === code;
  return { kind: 'class', has: options.ignoreCase ? foldedSet(only) : only };
}

function classOf(source: string): Node {
  return { kind: 'class', has: setOf(source) };
}

function setOf(source: string): CharacterSet {
  try {
    return byExpression(source);
  } catch {
    throw new ExpressionFault('with a class that cannot be read');
  }
}

/** The character of what an escape stands for; undefined where that is a class. */
function codeOf(source: string): number | undefined {
  const match = /^\\u\{([0-9a-f]+)\}$/.exec(source);
  return match ? parseInt(match[1]!, 16) : undefined;
}

function isClass(source: string): boolean {
  try {
    return new RegExp(source, 'v') instanceof RegExp;
  } catch {
    return false;
  }
}

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
