import { HintError } from '../../../util/errors.js';
import { checkBytes } from '../../../util/limits.js';
import { showValue } from '../../../util/show-value.js';
import type { CharacterSet } from '../unicode/characters.js';
import { ExpressionFault, isWordCharacter, parseExpression, type Place } from './parse.js';
import { CLASS, FORK, FOUND, JUMP, KEEP, LOOK, PLACE, PLACES, Program, type Look } from './program.js'; // prettier-ignore

/**
 * A regular expression that takes time linear in a text, whatever the expression: what was tried in vain at a place is
 * not tried there again. It finds what Oniguruma finds, the first of the alternatives that match, and leaves out of its
 * syntax what cannot be found in linear time.
 */
export class Expression {
  private readonly operations: readonly number[];
  private readonly first: readonly number[];
  private readonly second: readonly number[];
  private readonly classes: readonly CharacterSet[];
  private readonly looks: readonly Look[];
  /** A bit for each place and instruction: tried, and not found. */
  private tried = new Uint32Array(0);
  private stack = new Int32Array(256);

  /**
   * @param where the file and the part that has the expression, as the beginning of a sentence
   * @throws HintError INVALID_FILE for an expression that cannot be used
   */
  constructor(source: string, where: string) {
    try {
      const program = new Program(parseExpression(source));
      this.operations = program.operations;
      this.first = program.first;
      this.second = program.second;
      this.classes = program.classes;
      this.looks = program.looks;
    } catch (cause) {
      if (!(cause instanceof ExpressionFault)) throw cause;
      throw new HintError(
        'INVALID_FILE',
        `${where} has a regular expression ${cause.message}, which is not supported: ${showValue(source)}.`,
      );
    }
  }

  /** Where the matches are that follow one another: pairs of start and end. */
  matches(text: string): number[] {
    const found: number[] = [];
    this.prepare(text.length);
    let from = 0;
    let lastEnd = -1;
    while (from <= text.length) {
      const match = this.search(text, from);
      if (!match) break;
      const [start, end] = match;
      if (start === end && end === lastEnd) {
        // An empty match directly behind the last one is none.
        from += widthAt(text, from);
        continue;
      }
      found.push(start, end);
      from = lastEnd = end;
    }
    return found;
  }

  private search(text: string, from: number): readonly [number, number] | undefined {
    for (let start = from; start <= text.length; start += widthAt(text, start)) {
      const end = this.run(text, 0, start);
      if (end < 0) continue;
      // What lies behind the end failed for good; at the end itself, some of what was tried has led to the match.
      this.forget(end);
      return [start, end];
    }
    return undefined;
  }

  private prepare(length: number): void {
    const words = Math.ceil(((length + 1) * this.operations.length) / 32);
    checkBytes('A text', 'its regular expression needs', words, 4);
    if (this.tried.length < words) this.tried = new Uint32Array(words);
    else this.tried.fill(0, 0, words);
  }

  private forget(position: number): void {
    const size = this.operations.length;
    for (let bit = position * size; bit < (position + 1) * size; bit++)
      this.tried[bit >>> 5]! &= ~(1 << (bit & 31));
  }

  /** The end of the first match of a program that starts at a place, or −1. */
  private run(text: string, program: number, position: number): number {
    const { operations, first, second, tried } = this;
    const size = operations.length;
    let depth = 0;
    let at = position;
    let next = program;
    for (;;) {
      const bit = at * size + next;
      const isNew = ((tried[bit >>> 5]! >>> (bit & 31)) & 1) === 0;
      if (isNew) {
        tried[bit >>> 5]! |= 1 << (bit & 31);
        const operation = operations[next]!;
        if (operation === CLASS) {
          if (at < text.length) {
            const code = text.codePointAt(at)!;
            if (this.classes[first[next]!]!(code)) {
              at += code > 0xffff ? 2 : 1;
              next++;
              continue;
            }
          }
        } else if (operation === FORK) {
          if (depth + 2 > this.stack.length) this.grow();
          this.stack[depth++] = at;
          this.stack[depth++] = second[next]!;
          next = first[next]!;
          continue;
        } else if (operation === JUMP) {
          next = first[next]!;
          continue;
        } else if (operation === KEEP) {
          const code = at < text.length ? text.codePointAt(at)! : -1;
          if (code >= 0 && this.classes[first[next]!]!(code)) at += code > 0xffff ? 2 : 1;
          else next++;
          continue;
        } else if (operation === PLACE) {
          if (isAt(PLACES[first[next]!]!, text, at)) {
            next++;
            continue;
          }
        } else if (operation === LOOK) {
          const look = this.looks[first[next]!]!;
          if (this.sees(look, text, at) !== look.negative) {
            next++;
            continue;
          }
        } else return at;
      }
      if (depth === 0) return -1;
      next = this.stack[--depth]!;
      at = this.stack[--depth]!;
    }
  }

  private sees(look: Look, text: string, position: number): boolean {
    let start = position;
    if (look.behind)
      for (let i = 0; i < look.length; i++) {
        if (start === 0) return false;
        start -= start > 1 && text.codePointAt(start - 2)! > 0xffff ? 2 : 1;
      }
    return this.tryShort(text, look.start, start);
  }

  /** As {@link run} for the body of a look, which is short: what it tries is remembered for this call only. */
  private tryShort(text: string, program: number, position: number): boolean {
    const seen = new Set<number>();
    const pending = [position, program];
    while (pending.length > 0) {
      const next = pending.pop()!;
      const at = pending.pop()!;
      const key = at * this.operations.length + next;
      if (seen.has(key)) continue;
      seen.add(key);
      const operand = this.first[next]!;
      switch (this.operations[next]) {
        case FOUND:
          return true;
        case CLASS: {
          const code = at < text.length ? text.codePointAt(at)! : -1;
          if (code >= 0 && this.classes[operand]!(code)) pending.push(at + (code > 0xffff ? 2 : 1), next + 1);
          break;
        }
        case FORK:
          pending.push(at, this.second[next]!, at, operand);
          break;
        case JUMP:
          pending.push(at, operand);
          break;
        case PLACE:
          if (isAt(PLACES[operand]!, text, at)) pending.push(at, next + 1);
          break;
      }
    }
    return false;
  }

  private grow(): void {
    const larger = new Int32Array(2 * this.stack.length);
    larger.set(this.stack);
    this.stack = larger;
  }
}

function isAt(place: Place, text: string, at: number): boolean {
  switch (place) {
    case 'start':
      return at === 0;
    case 'end':
      return at === text.length;
    case 'end-or-line-feed':
      return at === text.length || (at === text.length - 1 && text[at] === '\n');
    case 'line-start':
      // Behind the line feed that ends a text no line begins.
      return at === 0 || (text[at - 1] === '\n' && at < text.length);
    case 'line-end':
      return at === text.length || text[at] === '\n';
    default:
      return (isWordAt(text, at) !== isWordBefore(text, at)) === (place === 'edge');
  }
}

function isWordAt(text: string, at: number): boolean {
  return at < text.length && isWordCharacter(text.codePointAt(at)!);
}

function isWordBefore(text: string, at: number): boolean {
  if (at === 0) return false;
  const code = at > 1 ? text.codePointAt(at - 2)! : 0;
  return isWordCharacter(code > 0xffff ? code : text.charCodeAt(at - 1));
}

function widthAt(text: string, at: number): number {
  return at < text.length && text.codePointAt(at)! > 0xffff ? 2 : 1;
}
