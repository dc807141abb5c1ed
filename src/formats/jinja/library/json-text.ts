import { placeOf } from '../python/arguments.js';
import { nested, sorted } from '../python/basics.js';
import { floatText } from '../python/floats.js';
import { integerText } from '../python/show.js';
import { Dict, isInteger, isText, List, PythonError, textOf, Tuple, typeOf, type Runtime, type Value } from '../python/values.js'; // prettier-ignore

/** Python's `json.dumps(value, sort_keys=True, indent=indent)`, all in ASCII. @throws PythonError TypeError */
export function jsonOf(value: Value, indent: Value, runtime: Runtime): string {
  const by =
    indent === null ? undefined : isText(indent) ? textOf(indent) : ' '.repeat(widthOf(indent, runtime));
  return written(value, by, '\n', runtime);
}

function widthOf(indent: Value, runtime: Runtime): number {
  const width = Math.max(0, placeOf(indent));
  runtime.allocate(2 * width);
  return width;
}

function written(value: Value, by: string | undefined, line: string, runtime: Runtime): string {
  const text = plainly(value) ?? nested(runtime, () => composed(value, by, line, runtime));
  runtime.allocate(2 * text.length);
  return text;
}

function plainly(value: Value): string | undefined {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (isInteger(value)) return integerText(BigInt(value));
  if (typeof value === 'number') return Number.isFinite(value) ? floatText(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity'; // prettier-ignore
  return isText(value) ? jsonQuoted(textOf(value)) : undefined;
}

function composed(value: Value, by: string | undefined, line: string, runtime: Runtime): string {
  const inner = by === undefined ? '' : line + by;
  const parts = (open: string, all: readonly string[], close: string): string => {
    if (all.length === 0) return open + close;
    runtime.allocate(2 * inner.length * all.length);
    return (
      open + inner + all.join(by === undefined ? ', ' : `,${inner}`) + (by === undefined ? '' : line) + close
    );
  };
  if (value instanceof List || value instanceof Tuple)
    return parts('[', value.items.map((item) => written(item, by, inner || line, runtime)), ']'); // prettier-ignore
  if (!(value instanceof Dict)) throw new PythonError('TypeError', `Object of type ${typeOf(value)} is not JSON serializable`); // prettier-ignore
  const items = sorted([...value.entries.values()].map((entry) => new Tuple([entry.key, entry.value])), (pair) => (pair as Tuple).items[0] as Value, false, runtime); // prettier-ignore
  const pairs = items.map((pair) => {
    const [key = null, one = null] = (pair as Tuple).items;
    const name = plainly(key);
    if (name === undefined) throw new PythonError('TypeError', `keys must be str, int, float, bool or None, not ${typeOf(key)}`); // prettier-ignore
    return `${isText(key) ? name : `"${name}"`}: ${written(one, by, inner || line, runtime)}`;
  });
  return parts('{', pairs, '}');
}

function jsonQuoted(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`); // prettier-ignore
}
