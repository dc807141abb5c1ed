import { shown } from './shown.js';

const LONGEST = 80;
const LONGEST_TEXT = 60;
const MOST_MEMBERS = 3;

/**
 * Any value for an error message: one short line, without control characters. Runs no code of the value except traps of
 * a proxy, and never throws.
 */
export function showValue(value: unknown): string {
  let text: string;
  try {
    text = show(value, 2);
  } catch {
    text = 'an object that cannot be looked at';
  }
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function show(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return showText(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'bigint':
      return value > -(2n ** 64n) && value < 2n ** 64n ? `${value}n` : 'a large BigInt';
    case 'symbol':
      return shown(String(value).slice(0, LONGEST_TEXT));
    case 'function':
      return 'a function';
    case 'object':
      return value === null ? 'null' : showObject(value, depth);
    default:
      return String(value);
  }
}

function showText(text: string): string {
  const cut = text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
  return shown(JSON.stringify(cut));
}

function showObject(value: object, depth: number): string {
  if (Array.isArray(value)) {
    if (depth === 0 || value.length > 100) return `an array of ${value.length}`;
    return `[${membersOf(value, depth, (_, member) => member)}]`;
  }
  const kind = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (ArrayBuffer.isView(value) && 'length' in value) return `${kind} of ${String(value.length)}`;
  if (kind !== 'Object') return `a value of kind ${shown(kind.slice(0, LONGEST_TEXT))}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!isPlain) {
    const maker: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
    const name = typeof maker === 'function' ? maker.name : '';
    return name ? `a value of class ${shown(name.slice(0, LONGEST_TEXT))}` : 'an object';
  }
  if (depth === 0) return 'an object';
  return `{${membersOf(value, depth, (key, member) => `${showText(key)}: ${member}`)}}`;
}

function membersOf(value: object, depth: number, join: (key: string, member: string) => string): string {
  const keys = Object.keys(value);
  const members = keys.slice(0, MOST_MEMBERS).map((key) => {
    const property = Object.getOwnPropertyDescriptor(value, key);
    return join(key, property && 'value' in property ? show(property.value, depth - 1) : '…');
  });
  return [...members, ...(keys.length > MOST_MEMBERS ? ['…'] : [])].join(', ');
}
