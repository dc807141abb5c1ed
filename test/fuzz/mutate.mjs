/** Structure-aware changes of valid inputs, each a function of a seeded random number generator. */

/** mulberry32: the same seed gives the same inputs on every machine. */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(count) {
    return Math.floor(this.next() * count);
  }

  of(list) {
    return list[this.below(list.length)];
  }
}

const INTERESTING_INTEGERS = [0, 1, -1, 2, 127, 128, 255, 256, 65535, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 53, -(2 ** 53)]; // prettier-ignore

const nested = (levels, open, close) => open.repeat(levels) + close.repeat(levels);

/** JSON values on which parsers have failed, as text, because some are too deep to be built as objects. */
const JSON_VALUES = [
  'null', 'true', '0', '-1', '1.5', '1e308', '1e999', '-0', '4294967296', '9007199254740993', '""', '"a"', '[]', '{}', '[null]', // prettier-ignore
  '"\\u0000\\u001b[2J\\u2028\\ud800"', '"__proto__"', '"constructor"', '{"__proto__":{"a":1}}', '{"constructor":1,"toString":2,"length":-1}', // prettier-ignore
  `"${'long '.repeat(4000)}"`, `"${'a'.repeat(70_000)}"`, nested(300, '[', ']'), nested(7000, '[', ']'),
  `${'{"a":'.repeat(7000)}1${'}'.repeat(7000)}`, `[${'0,'.repeat(60_000)}0]`, `[${'[],'.repeat(40_000)}[]]`,
  `{${Array.from({ length: 9000 }, (_, i) => `"k${i}":${i}`).join(',')}}`,
]; // prettier-ignore

const MARK = '\u0001mark\u0001';

/** All nodes of a value, as [owner, key]; not below 2,000 of them. */
function nodesOf(root) {
  const nodes = [];
  const queue = [root];
  while (queue.length > 0 && nodes.length < 2000) {
    const value = queue.shift();
    if (typeof value !== 'object' || value === null) continue;
    for (const key of Object.keys(value)) {
      nodes.push([value, key]);
      queue.push(value[key]);
    }
  }
  return nodes;
}

/** Edits the tree of a JSON text; a text that is none, or too deep to be edited, is changed as bytes are. */
export function mutateJson(random, bytes, dictionary = []) {
  try {
    return editJson(random, bytes, dictionary);
  } catch {
    return mutateBytes(random, bytes, dictionary);
  }
}

function editJson(random, bytes, dictionary) {
  const root = { value: JSON.parse(bytes.toString('utf8')) };
  const raw = [];
  const put = (text) => `${MARK}${raw.push(text) - 1}${MARK}`;
  const edits = 1 + random.below(3);
  for (let i = 0; i < edits; i++) {
    const nodes = nodesOf(root);
    const [owner, key] = random.of(nodes);
    const value = owner[key];
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        owner[key] = put(random.of(JSON_VALUES));
        break;
      case 3:
        if (Array.isArray(owner)) owner.splice(Number(key), 1);
        else delete owner[key];
        break;
      case 4:
        if (Array.isArray(owner)) owner.push(value);
        else owner[random.of([`${key}2`, '__proto__', 'constructor', '', key.toUpperCase()])] = value;
        break;
      case 5: {
        const [other, place] = random.of(nodes);
        owner[key] = structuredClone(other[place]);
        break;
      }
      case 6:
        owner[key] = random.of([[value], { a: value }, [value, value]]);
        break;
      case 7:
        owner[key] = random.of(INTERESTING_INTEGERS);
        break;
      case 8:
        if (typeof value === 'string')
          owner[key] = mutateText(random, Buffer.from(value), dictionary).toString('utf8');
        else if (typeof value === 'number') owner[key] = value + random.of([1, -1, 0.5, 1e6, -value]);
        else if (Array.isArray(value) && value.length > 0 && value.length < 500)
          owner[key] = Array.from({ length: 300 }, (_, n) => value[n % value.length]);
        break;
      default:
        owner[key] = dictionary.length > 0 ? random.of(dictionary) : null;
    }
  }
  let text = JSON.stringify(root.value) ?? 'null';
  const marks = /"\\u0001mark\\u0001(\d+)\\u0001mark\\u0001"/g;
  text = text.replace(marks, (_, number) => raw[Number(number)]);
  // A duplicate key, which JSON.parse accepts.
  if (random.below(20) === 0) text = text.replace(/"([^"\\]+)":/, '"$1":0,"$1":');
  return Buffer.from(text);
}

/** Edits one line of JSON lines, or their order. */
export function mutateLines(random, bytes, dictionary) {
  const lines = bytes.toString('utf8').split('\n');
  const i = random.below(lines.length);
  switch (random.below(6)) {
    case 0:
      lines.splice(i, 1);
      break;
    case 1:
      lines.splice(i, 0, lines[random.below(lines.length)]);
      break;
    case 2:
      return mutateBytes(random, bytes, dictionary);
    case 3:
      return Buffer.from(lines.join('\r\n'));
    default:
      lines[i] = mutateJson(random, Buffer.from(lines[i] || '{}'), dictionary).toString('utf8');
  }
  return Buffer.from(lines.join('\n'));
}

/** Puts words of a dictionary into a text, repeats and removes parts of it. */
export function mutateText(random, bytes, dictionary) {
  let text = bytes.toString('utf8');
  const edits = 1 + random.below(3);
  for (let i = 0; i < edits; i++) {
    const at = random.below(text.length + 1);
    const end = Math.min(text.length, at + random.below(40));
    switch (random.below(6)) {
      case 0:
      case 1:
        text = text.slice(0, at) + (dictionary.length > 0 ? random.of(dictionary) : ' ') + text.slice(at);
        break;
      case 2:
        text = text.slice(0, at) + text.slice(end);
        break;
      case 3:
        text = text.slice(0, at) + text.slice(at, end).repeat(1 + random.below(200)) + text.slice(end);
        break;
      case 4:
        text = text.slice(0, at) + (dictionary.length > 0 ? random.of(dictionary) : '{').repeat(random.of([50, 400, 3000])) + text.slice(at); // prettier-ignore
        break;
      default: {
        const from = random.below(text.length + 1);
        text = text.slice(0, at) + text.slice(from, from + random.below(200)) + text.slice(at);
      }
    }
    text = text.slice(0, 2_000_000);
  }
  return Buffer.from(text);
}

/** Flips, cuts, inserts, repeats; integers of several widths; other encodings. */
export function mutateBytes(random, bytes, dictionary = []) {
  let result = Buffer.from(bytes);
  const edits = 1 + random.below(4);
  for (let i = 0; i < edits; i++) {
    const at = random.below(Math.max(1, result.length));
    const end = Math.min(result.length, at + 1 + random.below(64));
    switch (random.below(11)) {
      case 0:
      case 1:
      case 2:
        if (result.length > 0) result[at] ^= 1 << random.below(8);
        break;
      case 3:
        result = result.subarray(0, at);
        break;
      case 4:
        result = Buffer.concat([result.subarray(0, at), result.subarray(end)]);
        break;
      case 5:
        result = Buffer.concat([result.subarray(0, end), result.subarray(at)]);
        break;
      case 6:
      case 7: {
        const width = random.of([1, 2, 4, 8]);
        if (at + width > result.length) break;
        const value = BigInt(random.of(INTERESTING_INTEGERS));
        const number = Buffer.alloc(8);
        number.writeBigInt64LE(BigInt.asIntN(64, value));
        result.set(random.below(4) === 0 ? number.subarray(0, width).reverse() : number.subarray(0, width), at); // prettier-ignore
        break;
      }
      case 8: {
        const word = Buffer.from(dictionary.length > 0 ? random.of(dictionary) : '\0');
        result = Buffer.concat([result.subarray(0, at), word, result.subarray(at)]);
        break;
      }
      case 9:
        // Varints of many sizes, as thrift has them.
        result = Buffer.concat([result.subarray(0, at), Buffer.alloc(1 + random.below(9), 0xff), result.subarray(at)]); // prettier-ignore
        break;
      default:
        if (random.below(8) === 0) result = Buffer.from(`\ufeff${result.toString('utf8')}`, 'utf16le');
        else result = Buffer.concat([result.subarray(0, at), bytes.subarray(random.below(bytes.length + 1)).subarray(0, 200), result.subarray(at)]); // prettier-ignore
    }
  }
  return Buffer.from(result);
}

/** Edits the header of a safetensors file, with its length set right or not. */
export function mutateSafetensors(random, bytes, dictionary) {
  if (bytes.length < 16 || random.below(4) === 0) return mutateBytes(random, bytes, dictionary);
  const length = Number(bytes.readBigUInt64LE(0));
  if (length > bytes.length - 8) return mutateBytes(random, bytes, dictionary);
  const header = mutateJson(random, bytes.subarray(8, 8 + length), dictionary);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(random.below(10) === 0 ? random.below(2 ** 31) : header.length));
  return Buffer.concat([prefix, header, bytes.subarray(8 + length)]);
}
