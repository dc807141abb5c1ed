import { Environment } from '@huggingface/jinja';
import { limits } from '../../../util/limits.js';

/** A value inside a template, as the Jinja library holds it. */
export type Value = ReturnType<Environment['lookupVariable']>;

type NativeFunction = (values: Value[]) => Value;

/** A plain value as templates see it. */
export function valueOf(plain: unknown): Value {
  const environment = new Environment();
  environment.set('value', plain);
  return environment.lookupVariable('value');
}

/** A function that takes and gives template values as they are, not copies of what they hold. */
export function functionValue(body: NativeFunction): Value {
  const value = valueOf(() => null) as { value: NativeFunction } & Value;
  value.value = body;
  return value;
}

export function listValue(items: readonly Value[]): Value {
  const value = valueOf([]) as { value: Value[] } & Value;
  value.value = [...items];
  return value;
}

/** The items of a list or tuple; undefined for anything else. */
export function itemsOf(value: Value | undefined): Value[] | undefined {
  return Array.isArray(value?.value) ? value.value : undefined;
}

// Bytes of memory for each character while lists become text.
const REPRESENTATION_FACTOR = 16;

/** `str(value)` of Python; what is undefined is empty, as Jinja has it. */
export function pythonText(value: Value): string {
  if (value.type === 'StringValue') return value.value as string;
  return value.type === 'UndefinedValue' ? '' : representation(value);
}

/** `repr(value)` of Python. Lists that hold one another many times over end with an error at the limit. */
function representation(
  value: Value,
  budget = { characters: limits().bytes / REPRESENTATION_FACTOR },
): string {
  const items = itemsOf(value)?.map((item) => representation(item, budget));
  const text = representationOf(value, items, budget);
  if ((budget.characters -= text.length) < 0) throw new Error('a list is too large to be text');
  return text;
}

function representationOf(value: Value, items: string[] | undefined, budget: { characters: number }): string {
  switch (value.type) {
    case 'StringValue':
      return quoted(value.value as string);
    case 'BooleanValue':
      return value.value === true ? 'True' : 'False';
    case 'NullValue':
    case 'UndefinedValue':
      return 'None';
    case 'ArrayValue':
      return `[${items?.join(', ')}]`;
    case 'TupleValue':
      return items?.length === 1 ? `(${items[0]},)` : `(${items?.join(', ')})`;
    case 'ObjectValue':
      return `{${[...(value.value as Map<string, Value>)]
        .map(([key, one]) => `${quoted(key)}: ${representation(one, budget)}`)
        .join(', ')}}`;
    default:
      return value.toString();
  }
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/[\\\n\r\t]/g, (character) => ESCAPES[character] ?? character);
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

/** Jinja's `truncate(length)`: cut at a word, `...` behind it, and a leeway of 5 characters without a cut. */
export function truncated(text: string, length: number): string {
  if (text.length <= length + 5) return text;
  // A character has up to two units; the rest of a long text is not looked at.
  const characters = [...text.slice(0, 2 * (Math.max(0, length) + 6))];
  if (characters.length <= length + 5) return text;
  const kept = characters.slice(0, Math.max(0, length - 3)).join('');
  const space = kept.lastIndexOf(' ');
  return `${space < 0 ? kept : kept.slice(0, space)}...`;
}

/** An item by number (from the end where negative) or key; undefined where there is none, as in Jinja. */
export function itemOf([container, key]: Value[]): Value {
  const none = valueOf(undefined);
  if (!container || !key) return none;
  if (container.value instanceof Map)
    return (container.value as Map<string, Value>).get(String(key.value)) ?? none;
  const whole = key.type === 'IntegerValue' || key.type === 'BooleanValue' ? Number(key.value) : NaN;
  const items = itemsOf(container);
  if (items) return items.at(whole) ?? none;
  if (container.type !== 'StringValue') return none;
  const character = [...(container.value as string)].at(whole);
  return Number.isNaN(whole) || character === undefined ? none : valueOf(character);
}

/** Methods of Python's strings and lists that the Jinja library lacks. */
export const METHODS: Readonly<Record<string, NativeFunction>> = {
  index: ([of, wanted]) => {
    const at = position(of, wanted);
    if (at < 0) throw new Error(`${wanted ? representation(wanted) : 'nothing'} is not in it`);
    return valueOf(at);
  },
  find: ([of, wanted]) => valueOf(position(of, wanted)),
  replace: ([of, old, by, count]) => valueOf(replaced(text(of), text(old), text(by), count)),
  count: ([of, wanted]) => {
    const items = itemsOf(of);
    if (items) return valueOf(items.filter((item) => item.value === wanted?.value).length);
    return valueOf(text(of).split(text(wanted)).length - 1);
  },
  strip: ([of, set]) => valueOf(strippedEnd(strippedStart(text(of), set), set)),
  lstrip: ([of, set]) => valueOf(strippedStart(text(of), set)),
  rstrip: ([of, set]) => valueOf(strippedEnd(text(of), set)),
  join: ([glue, list]) => valueOf((itemsOf(list) ?? []).map(pythonText).join(text(glue))),
  append: ([list, item]) => {
    if (item) itemsOf(list)?.push(item);
    return valueOf(null);
  },
};

/** Python's `replace`: the text may grow by the product of the two, so that its length is known before. */
function replaced(value: string, old: string, by: string, count: Value | undefined): string {
  const given =
    count?.type === 'KeywordArgumentsValue' ? (count.value as Map<string, Value>).get('count') : count;
  const most = typeof given?.value === 'number' && given.value >= 0 ? given.value : Infinity;
  // An empty text stands in front of every character and at the end.
  const pieces = old === '' ? ['', ...value, ''] : value.split(old);
  const times = Math.min(most, pieces.length - 1);
  if (value.length + times * by.length > limits().bytes / REPRESENTATION_FACTOR)
    throw new Error(`replace() would give a text of ${value.length + times * by.length} characters`);
  const rest = pieces.slice(times + 1);
  return [pieces.slice(0, times + 1).join(by), ...rest].join(old);
}

function strippedStart(value: string, set: Value | undefined): string {
  if (set === undefined) return value.trimStart();
  const characters = [...value];
  const first = characters.findIndex((one) => !text(set).includes(one));
  return first < 0 ? '' : characters.slice(first).join('');
}

function strippedEnd(value: string, set: Value | undefined): string {
  if (set === undefined) return value.trimEnd();
  const characters = [...value];
  const last = characters.findLastIndex((one) => !text(set).includes(one));
  return characters.slice(0, last + 1).join('');
}

function position(of: Value | undefined, wanted: Value | undefined): number {
  const items = itemsOf(of);
  return items ? items.findIndex((item) => item.value === wanted?.value) : text(of).indexOf(text(wanted));
}

function text(value: Value | undefined): string {
  return value === undefined ? '' : pythonText(value);
}

/** Filters beside those of the Jinja library; promptsource's own are `choice` and `most_frequent`. */
export const FILTERS: Readonly<Record<string, (random: () => number) => NativeFunction>> = {
  choice: draw,
  random: draw,
  most_frequent:
    () =>
    ([list]) => {
      const items = itemsOf(list) ?? [];
      if (items.length === 0) return valueOf(null);
      const counts = new Map<string, { first: Value; count: number }>();
      for (const item of items) {
        const key = representation(item);
        counts.set(key, { first: item, count: (counts.get(key)?.count ?? 0) + 1 });
      }
      const most = Math.max(...[...counts.values()].map(({ count }) => count));
      return listValue([...counts.values()].filter(({ count }) => count === most).map(({ first }) => first));
    },
  replace:
    () =>
    ([value, old, by, count]) =>
      valueOf(replaced(text(value), text(old), text(by), count)),
  string:
    () =>
    ([value]) =>
      valueOf(text(value)),
  truncate:
    () =>
    ([value, length]) =>
      valueOf(truncated(text(value), length === undefined ? 255 : Number(length.value))),
};

function draw(random: () => number): NativeFunction {
  return ([list]) => {
    const items = itemsOf(list) ?? [];
    return items[Math.floor(random() * items.length)] ?? valueOf(undefined);
  };
}
