import { positionals } from './python/arguments.js';
import { equals, itemsOf, sizeOf } from './python/basics.js';
import { Attributed, Callable, OnceIterator, PythonError, Tuple, Undefined, type Arguments, type Runtime, type Value } from './python/values.js'; // prettier-ignore

/** `loop` in a loop's body, which also goes through the items: it may have to look ahead. */
export class Loop extends Attributed {
  readonly type = 'LoopContext';
  private index0 = -1n;
  private items: Iterator<Value>;
  private size: bigint | undefined;
  private ahead: { readonly item: Value } | undefined;
  private current: Value | undefined;
  private before: Value | undefined;
  private changedTo: Tuple | undefined;

  /**
   * @param depth0 loops around this one that it was called by
   * @param again renders the loop's body for other items; undefined for a loop that is not recursive
   */
  constructor(
    private readonly iterable: Value,
    private readonly runtime: Runtime,
    private readonly depth0 = 0n,
    private readonly again?: (items: Value, depth: bigint) => Value,
  ) {
    super();
    this.items = itemsOf(iterable, runtime);
  }

  /** Goes to the next item; undefined behind the last. */
  next(): { readonly item: Value } | undefined {
    const next = this.peek();
    this.ahead = undefined;
    if (!next) return undefined;
    this.index0++;
    this.before = this.current;
    this.current = next.item;
    return next;
  }

  private peek(): { readonly item: Value } | undefined {
    if (this.ahead) return this.ahead;
    const { done, value } = this.items.next() as IteratorResult<Value, undefined>;
    return (this.ahead = done ? undefined : { item: value });
  }

  override length(): bigint {
    if (this.size === undefined) {
      this.size = this.iterable instanceof Undefined ? 0n : sizeOf(this.iterable);
      if (this.size === undefined) {
        const rest: Value[] = [];
        for (let next = this.items.next(); !next.done; next = this.items.next()) {
          this.runtime.allocate(16);
          rest.push(next.value);
        }
        this.items = rest[Symbol.iterator]();
        this.size = BigInt(rest.length) + this.index0 + 1n + (this.ahead ? 1n : 0n);
      }
    }
    return this.size;
  }

  attribute(name: string): Value | undefined {
    switch (name) {
      case 'index0':
        return this.index0;
      case 'index':
        return this.index0 + 1n;
      case 'first':
        return this.index0 === 0n;
      case 'last':
        return this.peek() === undefined;
      case 'length':
        return this.length();
      case 'revindex':
        return this.length() - this.index0;
      case 'revindex0':
        return this.length() - this.index0 - 1n;
      case 'depth':
        return this.depth0 + 1n;
      case 'depth0':
        return this.depth0;
      case 'previtem':
        return this.index0 === 0n ? new Undefined('there is no previous item') : this.before;
      case 'nextitem':
        return this.peek()?.item ?? (this.peek() ? null : new Undefined('there is no next item'));
      case 'cycle':
        return new Callable('cycle', (args) => this.cycle(args));
      case 'changed':
        return new Callable('changed', (args) => this.changed(args));
      default:
        return undefined;
    }
  }

  private cycle({ positional }: Arguments): Value {
    if (positional.length === 0) throw new PythonError('TypeError', 'no items for cycling given');
    return positional[Number(this.index0 % BigInt(positional.length))] as Value;
  }

  private changed(args: Arguments): Value {
    const value = new Tuple(positionals('changed', args, 0, Infinity));
    if (this.changedTo && equals(this.changedTo, value, this.runtime)) return false;
    this.changedTo = value;
    return true;
  }

  override call(args: Arguments): Value {
    const [items = null] = positionals('loop', args, 1, 1);
    if (!this.again) throw new PythonError('TypeError', "The loop must have the 'recursive' marker to be called recursively."); // prettier-ignore
    return this.again(items, this.depth0 + 1n);
  }

  shown(): string {
    return `<LoopContext ${this.index0 + 1n}/${this.length()}>`;
  }
}

/** The items for which a condition holds. */
export function filteredItems(items: Value, holds: (item: Value) => boolean, runtime: Runtime): Value {
  function* those(): Generator<Value> {
    for (const item of itemsOf(items, runtime)) if (holds(item)) yield item;
  }
  return new OnceIterator(those(), 'generator');
}
