import { isPrintable } from './characters.js';
import { floatText } from './floats.js';
import { nested, viewItems } from './basics.js';
import { Attributed, Callable, Dict, DictView, isText, List, Markup, OnceIterator, PythonError, Range, textOf, Tuple, Undefined, type Runtime, type Value } from './values.js'; // prettier-ignore

/** How Python writes values. */

/** Python's `str(value)`. */
export function textOfValue(value: Value, runtime: Runtime): string {
  if (isText(value)) return textOf(value);
  return value instanceof Undefined ? '' : representation(value, runtime);
}

const QUOTED: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(character: string): string {
  const code = character.codePointAt(0) as number;
  const [letter, width] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
  return `\\${letter}${code.toString(16).padStart(width as number, '0')}`;
}

/** Python's `repr` of a text. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const written = text.replace(/[^ !#-&(-[\]-~]/gu, (character) => {
    if (character === quote) return `\\${quote}`;
    return QUOTED[character] ?? (isPrintable(character) ? character : escaped(character));
  });
  return quote + written + quote;
}

/** Python's `ascii(value)`. */
export function asciiOf(value: Value, runtime: Runtime): string {
  return representation(value, runtime).replace(/[^\x00-\x7f]/gu, escaped);
}

// Python writes no int of more digits.
const MOST_DIGITS = 4300;

/** An int in digits. @throws PythonError ValueError for one of more than 4,300 */
export function integerText(value: bigint): string {
  // A bit more than what 4,300 digits take, so that none is written in vain.
  if (value > LARGEST || value < -LARGEST)
    throw new PythonError(
      'ValueError',
      `Exceeds the limit (${MOST_DIGITS} digits) for integer string conversion`,
    );
  return value.toString();
}

const LARGEST = 10n ** BigInt(MOST_DIGITS) - 1n;

/** Python's `repr(value)`. */
export function representation(value: Value, runtime: Runtime, around: Value[] = []): string {
  const text = written(value, runtime, around);
  runtime.allocate(2 * text.length);
  return text;
}

function written(value: Value, runtime: Runtime, around: Value[]): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return integerText(value);
  if (typeof value === 'number') return floatText(value);
  if (typeof value === 'string') return quoted(value);
  if (value instanceof Markup) return `Markup(${quoted(value.text)})`;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Range)
    return `range(${value.start}, ${value.stop}${value.increment === 1n ? '' : `, ${value.increment}`})`;
  const all = (items: readonly Value[]): string[] => {
    around.push(value);
    const texts = nested(runtime, () => items.map((item) => representation(item, runtime, around)));
    around.pop();
    return texts;
  };
  if (value instanceof List) return around.includes(value) ? '[...]' : `[${all(value.items).join(', ')}]`;
  if (value instanceof Tuple) {
    const items = all(value.items);
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
  }
  if (value instanceof Dict) {
    if (around.includes(value)) return '{...}';
    const entries = [...value.entries.values()].map((entry) => all([entry.key, entry.value]).join(': '));
    return `{${entries.join(', ')}}`;
  }
  if (value instanceof DictView) return `${value.type}([${all(viewItems(value)).join(', ')}])`;
  if (value instanceof Attributed) return value.shown((one) => all([one])[0] as string);
  if (value instanceof Callable) return value.type === 'type' ? `<class '${value.name}'>` : `<built-in function ${value.name}>`; // prettier-ignore
  // Python adds where the object lies in memory, which differs in every run.
  return value instanceof OnceIterator ? `<${value.type} object>` : `<${value.type}>`;
}
