import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';

/** What a tokenizer.json has around its model. */
const PLACES = ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'];

// Tokenizers have up to ten.
const MOST_PARTS = 64;
// How many times as long a text may become by replacements that follow one another.
const MOST_GROWTH = 64;
const LONGEST_EXPRESSION = 2000;
// Repetitions without an end in one alternative: with two of them, matching takes the square of a text's length at most.
const MOST_REPETITIONS = 2;

/**
 * Checks the parts of a parsed tokenizer.json around its model: regular expressions that could take time exponential in a
 * text's length are refused, and replacements that could make it thousands of times as long.
 *
 * @throws HintError INVALID_FILE naming the part
 */
export function checkParts(json: unknown, file: string): void {
  if (!isObject(json)) return;
  for (const place of PLACES) {
    const refuse = (what: string): never => {
      throw new HintError('INVALID_FILE', `${file} has ${what} in its ${place}; fetch it again.`);
    };
    let parts = 0;
    let growth = 1;
    const visit = (value: unknown): void => {
      if (Array.isArray(value)) value.forEach(visit);
      if (!isObject(value) || Array.isArray(value)) return;
      if ('type' in value && ++parts > MOST_PARTS) refuse(`more than ${MOST_PARTS} parts`);
      const { pattern, content } = value;
      const { Regex: expression, String: text } = isObject(pattern) ? pattern : {};
      if (typeof expression === 'string') {
        const fault = faultOf(expression);
        if (fault) refuse(`a regular expression ${fault}, ${showValue(expression)},`);
      }
      if (typeof content === 'string' && pattern !== undefined) {
        growth *= Math.max(1, content.length / Math.max(1, typeof text === 'string' ? text.length : 1));
        if (growth > MOST_GROWTH)
          refuse(`replacements that make a text more than ${MOST_GROWTH} times as long`);
      }
      for (const inner of Object.values(value)) visit(inner);
    };
    visit(json[place]);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

interface Group {
  /** Whether a text can match it in more ways than one. */
  isAmbiguous: boolean;
  /** Repetitions without an end in the alternative that is being read. */
  repetitions: number;
}

/** Why matching an expression could take too long; undefined where it cannot. */
function faultOf(expression: string): string | undefined {
  if (expression.length > LONGEST_EXPRESSION) return `of more than ${LONGEST_EXPRESSION} characters`;
  const groups: Group[] = [{ isAmbiguous: false, repetitions: 0 }];
  let closed: Group | undefined;
  for (let i = 0; i < expression.length; i++) {
    const group = groups.at(-1);
    if (!group) return undefined;
    const rest = expression.slice(i);
    const repetition = /^(?:[*+?]|\{(\d*),?(\d*)\})/.exec(rest);
    if (repetition) {
      const isEndless = /^(?:[*+]|\{\d*,\})/.test(rest);
      const repeats = isEndless || Number(repetition[2] || repetition[1] || 0) > 1;
      if (repeats && closed?.isAmbiguous) return 'that repeats a group of repetitions or alternatives';
      if (isEndless && ++group.repetitions > MOST_REPETITIONS)
        return `with more than ${MOST_REPETITIONS} endless repetitions`;
      if (repeats || repetition[0] === '?') group.isAmbiguous = true;
      i += repetition[0].length - 1;
      continue;
    }
    closed = undefined;
    const character = expression[i];
    if (character === '\\') {
      if (/[1-9k]/.test(expression[i + 1] ?? '')) return 'that refers back to a group';
      i++;
    } else if (character === '[') i = endOfClass(expression, i);
    else if (character === '(') {
      groups.push({ isAmbiguous: false, repetitions: 0 });
      // What says the kind of a group is no repetition.
      i += /^\((?:\?(?:[a-z-]*:|<?[=!]|<[^>=!]*>))?/.exec(rest)![0].length - 1;
    } else if (character === '|') {
      group.isAmbiguous = true;
      group.repetitions = 0;
    } else if (character === ')') {
      closed = groups.pop();
      const outer = groups.at(-1);
      if (outer && closed) {
        outer.isAmbiguous ||= closed.isAmbiguous;
        outer.repetitions += closed.repetitions;
        if (outer.repetitions > MOST_REPETITIONS)
          return `with more than ${MOST_REPETITIONS} endless repetitions`;
      }
    }
  }
  return undefined;
}

/** Index of the bracket that closes a class of characters. */
function endOfClass(expression: string, start: number): number {
  for (let i = start + 1; i < expression.length; i++) {
    if (expression[i] === '\\') i++;
    else if (expression[i] === ']') return i;
  }
  return expression.length;
}
