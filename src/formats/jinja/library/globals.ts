import { bound, integerOf, positionals } from '../python/arguments.js';
import { itemsOf, iteratorOf } from '../python/basics.js';
import { fill } from '../python/container-methods.js';
import { Attributed, Callable, Dict, OnceIterator, PythonError, putText, Range, textHash, Tuple, typeOf, type Arguments, type Runtime, type Value } from '../python/values.js'; // prettier-ignore

/** What every template has beside the row: Jinja's functions, and promptsource's `zip`. */

/** What `namespace()` gives: attributes that can be set in an inner scope. */
export class Namespace extends Attributed {
  readonly type = 'Namespace';

  constructor(readonly values: Dict) {
    super();
  }

  attribute(name: string): Value | undefined {
    return this.values.entries.get(textHash(name))?.value;
  }

  set(name: string, value: Value): void {
    putText(this.values, name, value);
  }

  shown(show: (value: Value) => string): string {
    return `<Namespace ${show(this.values)}>`;
  }
}

class Cycler extends Attributed {
  readonly type = 'Cycler';
  private at = 0;

  constructor(private readonly items: readonly Value[]) {
    super();
  }

  attribute(name: string): Value | undefined {
    switch (name) {
      case 'items':
        return new Tuple(this.items);
      case 'pos':
        return BigInt(this.at);
      case 'current':
        return this.items[this.at];
      case 'next':
      case '__next__':
        return new Callable('next', () => {
          const now = this.items[this.at] as Value;
          this.at = (this.at + 1) % this.items.length;
          return now;
        });
      case 'reset':
        return new Callable('reset', () => {
          this.at = 0;
          return null;
        });
      default:
        return undefined;
    }
  }

  shown(): string {
    return '<Cycler object>';
  }
}

class Joiner extends Attributed {
  readonly type = 'Joiner';
  private used = false;

  constructor(private readonly separator: Value) {
    super();
  }

  attribute(name: string): Value | undefined {
    return name === 'sep' ? this.separator : name === 'used' ? this.used : undefined;
  }

  override call(args: Arguments): Value {
    positionals('joiner', args, 0, 0);
    if (this.used) return this.separator;
    this.used = true;
    return '';
  }

  shown(): string {
    return '<Joiner object>';
  }
}

function range(args: Arguments): Value {
  const [first = null, second, step = 1n] = positionals('range', args, 1, 3);
  const increment = integerOf(step);
  const [start, stop] = second === undefined ? [0n, integerOf(first)] : [integerOf(first), integerOf(second)];
  if (increment === 0n) throw new PythonError('ValueError', 'range() arg 3 must not be zero');
  return new Range(start, stop, increment);
}

function* zipped(lists: readonly Value[], runtime: Runtime): Generator<Value> {
  const iterators = lists.map((list) => itemsOf(list, runtime));
  while (iterators.length > 0) {
    const items: Value[] = [];
    for (const iterator of iterators) {
      const { done, value } = iterator.next();
      if (done) return;
      items.push(value);
    }
    yield new Tuple(items);
  }
}

function zip({ positional, named }: Arguments, runtime: Runtime): Value {
  if ([...named.keys()].some((name) => name !== 'strict')) throw new PythonError('TypeError', 'zip() takes no keyword arguments but strict'); // prettier-ignore
  if (named.size > 0) throw new PythonError('NotSupported', 'zip(strict=…) is not supported');
  for (const list of positional)
    if (!iteratorOf(list)) throw new PythonError('TypeError', `'${typeOf(list)}' object is not iterable`);
  return new OnceIterator(zipped(positional, runtime), 'zip');
}

function dictOf(name: string, args: Arguments, runtime: Runtime): Dict {
  const dict = new Dict();
  fill(dict, name, args, runtime);
  return dict;
}

/** The names that {@link globalsFor} gives values. */
export const GLOBAL_NAMES = ['range', 'dict', 'lipsum', 'cycler', 'joiner', 'namespace', 'zip'] as const;

/** A template's names beside those of the row. */
export function globalsFor(runtime: Runtime): ReadonlyMap<string, Value> {
  const functions: Record<(typeof GLOBAL_NAMES)[number], (args: Arguments) => Value> = {
    range,
    dict: (args) => dictOf('dict', args, runtime),
    lipsum: () => {
      throw new PythonError('NotSupported', "the function 'lipsum' is not supported");
    },
    cycler: ({ positional }) => {
      if (positional.length === 0)
        throw new PythonError('RuntimeError', 'at least one item has to be provided');
      return new Cycler(positional);
    },
    joiner: (args) => new Joiner(bound('joiner', args, ['sep?'])[0] ?? ', '),
    namespace: (args) => new Namespace(dictOf('namespace', args, runtime)),
    zip: (args) => zip(args, runtime),
  };
  const classes = new Set<string>(['range', 'dict', 'zip']);
  return new Map(GLOBAL_NAMES.map((name) => [name, new Callable(name, functions[name], classes.has(name) ? 'type' : 'function')])); // prettier-ignore
}
