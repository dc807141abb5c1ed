import { HintError } from '../../util/errors.js';
import { checkBytes, VALUE_BYTES } from '../../util/limits.js';
import { showValue } from '../../util/show-value.js';
import { elementCount } from '../weights/dtypes.js';
import { globalNamed, whyRefused } from './globals.js';
import { PickleReader } from './pickle-reader.js';
import {
  DTypeName,
  GlobalName,
  PickleDict,
  Storage,
  StorageClass,
  TensorView,
  type PickleValue,
} from './values.js';

// Far more than tensors have.
const MAX_RANK = 32;

const MARK = Symbol('mark');
type StackEntry = PickleValue | typeof MARK;

/**
 * Reads one pickle of tensors: a virtual machine of the few instructions that tensors, storages, dicts and plain values
 * are written with (protocols 2 to 5). Nothing is imported or run. Whatever else it names is refused by that name.
 *
 * Time and memory are linear in the bytes that are read: an instruction makes one value or moves values that are there.
 */
export class Unpickler extends PickleReader {
  private stack: StackEntry[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private values = 0;

  /** Where the pickle ended: behind its STOP. */
  get end(): number {
    return this.position;
  }

  /** @throws HintError INVALID_CHECKPOINT, NOT_SUPPORTED, LIMIT_EXCEEDED; {@link EndOfPickle} */
  load(): PickleValue {
    const { bytes } = this;
    for (;;) {
      const at = this.position;
      const code = this.take(1);
      const opcode = bytes[code] as number;
      if (opcode === STOP) {
        const value = this.pop();
        if (this.stack.length > 0) throw this.damaged(at, 'it ends with values left over');
        return value;
      }
      const step = STEPS[opcode];
      if (step === undefined)
        throw this.damaged(
          at,
          `it has the instruction 0x${opcode.toString(16).padStart(2, '0')}, which tensors are not written with`,
        );
      step(this);
    }
  }

  push(value: StackEntry): void {
    if ((this.values++ & 1023) === 0) this.checkMemory();
    this.stack.push(value);
  }

  /** Counts a value that takes more than others. */
  made(count: number): void {
    this.values += count;
  }

  private checkMemory(): void {
    checkBytes(this.path, 'the values of its pickle take about', this.values * VALUE_BYTES);
  }

  pushMark(): void {
    this.push(MARK);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined || value === MARK)
      throw this.damaged(this.position, 'it takes a value that is not there');
    return value;
  }

  top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined || value === MARK)
      throw this.damaged(this.position, 'it takes a value that is not there');
    return value;
  }

  popMark(): PickleValue[] {
    const at = this.stack.lastIndexOf(MARK);
    if (at < 0) throw this.damaged(this.position, 'it takes values from a mark that is not there');
    const items = this.stack.splice(at);
    return items.slice(1) as PickleValue[];
  }

  put(key: number): void {
    this.memo.set(key, this.top());
    this.made(1);
  }

  memoize(): void {
    this.put(this.memo.size);
  }

  get(key: number): void {
    const value = this.memo.get(key);
    if (value === undefined)
      throw this.damaged(this.position, `it asks for memo ${key}, which it has not written`);
    this.push(value);
  }

  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof PickleDict))
      throw this.damaged(this.position, 'it sets items of what is no dict');
    if (items.length % 2 !== 0) throw this.damaged(this.position, 'it sets a key without a value');
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i] as PickleValue;
      if (typeof key === 'object' && key !== null)
        throw this.damaged(this.position, 'a dict has a key that is neither a text nor a number');
      this.made(2);
      target.entries.set(key, items[i + 1] as PickleValue);
    }
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!Array.isArray(target)) throw this.damaged(this.position, 'it appends to what is no list');
    for (const item of items) target.push(item);
  }

  global(module: string, name: string): void {
    const full = `${module}.${name}`;
    const value = globalNamed(full);
    if (value === undefined)
      throw new HintError(
        'NOT_SUPPORTED',
        `${this.path} asks for ${shortName(full)}, which is refused: ${whyRefused(full)}.`,
      );
    this.push(value);
  }

  stackGlobal(): void {
    const [name, module] = [this.pop(), this.pop()];
    if (typeof name !== 'string' || typeof module !== 'string')
      throw this.damaged(this.position, 'it names a function by what is no text');
    this.global(module, name);
  }

  /** A call, of the few that build tensors. */
  reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!Array.isArray(args))
      throw this.damaged(this.position, 'it calls a function without a list of arguments');
    if (!(callee instanceof GlobalName)) {
      const what = callee instanceof StorageClass ? `torch.${callee.name}` : showValue(callee);
      throw new HintError(
        'NOT_SUPPORTED',
        `${this.path} calls ${what}, which is refused: ${whyRefused('')}.`,
      );
    }
    this.made(4);
    switch (callee.name) {
      case 'collections.OrderedDict': {
        this.push(new PickleDict());
        const [pairs = []] = args;
        if (!Array.isArray(pairs))
          throw this.damaged(this.position, 'an OrderedDict is made of what is no list of pairs');
        for (const pair of pairs) {
          if (!Array.isArray(pair) || pair.length !== 2)
            throw this.damaged(this.position, 'an OrderedDict is made of what is no list of pairs');
          this.setItems(pair);
        }
        return;
      }
      case 'torch._utils._rebuild_parameter':
      case 'torch._utils._rebuild_parameter_with_state': {
        const [data] = args;
        if (!(data instanceof TensorView))
          throw this.damaged(this.position, 'a Parameter is made of what is no tensor');
        this.push(data);
        return;
      }
      default:
        this.push(this.tensor(args, callee.name.endsWith('_v3')));
    }
  }

  private tensor(args: readonly PickleValue[], hasDType: boolean): TensorView {
    const [storage, offset, shape, strides] = args;
    if (!(storage instanceof Storage))
      throw this.damaged(this.position, 'a tensor is made of what is no storage');
    const named = hasDType ? args[6] : undefined;
    const dtype = named instanceof DTypeName ? named.dtype : storage.dtype;
    if (dtype === undefined || (hasDType && !(named instanceof DTypeName)))
      throw this.damaged(this.position, 'a tensor has no element type');
    const wholeSizes = (list: PickleValue | undefined): list is number[] =>
      Array.isArray(list) &&
      list.length <= MAX_RANK &&
      list.every((one) => Number.isSafeInteger(one) && (one as number) >= 0);
    if (!wholeSizes(shape) || elementCount(shape) === undefined)
      throw this.damaged(this.position, `a tensor has the shape ${showValue(shape)}`);
    if (!wholeSizes(strides) || strides.length !== shape.length)
      throw this.damaged(
        this.position,
        `a tensor of shape ${showValue(shape)} has the strides ${showValue(strides)}`,
      );
    if (!Number.isSafeInteger(offset) || (offset as number) < 0)
      throw this.damaged(this.position, `a tensor begins at the element ${showValue(offset)}`);
    this.made(4 + 2 * shape.length);
    return new TensorView(storage, dtype, offset as number, shape, strides);
  }

  /** A storage, by the persistent id that stands for it. */
  persistent(): void {
    const id = this.pop();
    const [kind, storageClass, key, , count, view] = Array.isArray(id) ? id : [];
    if (kind !== 'storage' || !(storageClass instanceof StorageClass) || typeof key !== 'string')
      throw this.damaged(this.position, `it refers to ${showValue(kind)} outside of it, not to a storage`);
    if (!Number.isSafeInteger(count) || (count as number) < 0)
      throw this.damaged(this.position, `the storage ${showValue(key)} has ${showValue(count)} elements`);
    this.made(4);
    if (view === undefined || view === null) {
      this.push(new Storage(key, storageClass.dtype, count as number));
      return;
    }
    const [, begin, size] = Array.isArray(view) ? view : [];
    const fits = [begin, size].every((one) => Number.isSafeInteger(one) && (one as number) >= 0);
    if (!fits || (begin as number) + (size as number) > (count as number))
      throw this.damaged(this.position, `the storage ${showValue(key)} is a view that is not within it`);
    this.push(new Storage(key, storageClass.dtype, size as number, begin as number));
  }

  /** Attributes of an object: those of an OrderedDict, such as the versions in a state dict, do not matter. */
  build(): void {
    this.pop();
    if (!(this.top() instanceof PickleDict))
      throw this.damaged(this.position, 'it sets attributes of what is no OrderedDict');
  }
}

function shortName(full: string): string {
  return full.length > 120 ? `${full.slice(0, 120)}…` : full;
}

const STOP = 0x2e;

function lastItems(machine: Unpickler, count: number): PickleValue[] {
  const items = Array.from({ length: count }, () => machine.pop());
  return items.reverse();
}

type Step = (machine: Unpickler) => void;

/** What each instruction does, by its byte. */
const STEPS: readonly (Step | undefined)[] = table({
  0x80: (m) => void m.take(1), // PROTO
  0x95: (m) => void m.take(8), // FRAME
  0x28: (m) => m.pushMark(),
  0x30: (m) => void m.pop(),
  0x31: (m) => void m.popMark(),
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x4a: (m) => m.push(m.integer(4)), // BININT
  0x4b: (m) => m.push(m.unsigned(1)),
  0x4d: (m) => m.push(m.unsigned(2)),
  0x8a: (m) => m.push(m.integer(m.unsigned(1))), // LONG1
  0x8b: (m) => m.push(m.integer(m.unsigned(4))), // LONG4
  0x47: (m) => m.push(m.double()),
  0x58: (m) => m.push(m.text(m.unsigned(4))), // BINUNICODE
  0x8c: (m) => m.push(m.text(m.unsigned(1))), // SHORT_BINUNICODE
  0x8d: (m) => m.push(m.text(m.unsigned(8))), // BINUNICODE8
  // Texts of Python 2.
  0x54: (m) => m.push(m.text(m.unsigned(4), 'latin1')), // BINSTRING
  0x55: (m) => m.push(m.text(m.unsigned(1), 'latin1')), // SHORT_BINSTRING
  0x42: (m) => m.push(bytesOf(m, m.unsigned(4))), // BINBYTES
  0x43: (m) => m.push(bytesOf(m, m.unsigned(1))), // SHORT_BINBYTES
  0x8e: (m) => m.push(bytesOf(m, m.unsigned(8))), // BINBYTES8
  0x29: (m) => m.push([]), // EMPTY_TUPLE
  0x5d: (m) => m.push([]), // EMPTY_LIST
  0x7d: (m) => {
    m.made(4);
    m.push(new PickleDict());
  }, // EMPTY_DICT
  0x85: (m) => m.push(lastItems(m, 1)),
  0x86: (m) => m.push(lastItems(m, 2)),
  0x87: (m) => m.push(lastItems(m, 3)),
  0x74: (m) => m.push(m.popMark()), // TUPLE
  0x61: (m) => {
    const [item] = lastItems(m, 1);
    m.append([item as PickleValue]);
  }, // APPEND
  0x65: (m) => {
    const items = m.popMark();
    m.append(items);
  }, // APPENDS
  0x73: (m) => {
    const items = lastItems(m, 2);
    m.setItems(items);
  }, // SETITEM
  0x75: (m) => {
    const items = m.popMark();
    m.setItems(items);
  }, // SETITEMS
  0x71: (m) => m.put(m.unsigned(1)), // BINPUT
  0x72: (m) => m.put(m.unsigned(4)), // LONG_BINPUT
  0x94: (m) => m.memoize(),
  0x68: (m) => m.get(m.unsigned(1)), // BINGET
  0x6a: (m) => m.get(m.unsigned(4)), // LONG_BINGET
  0x63: (m) => {
    const module = m.line();
    m.global(module, m.line());
  }, // GLOBAL
  0x93: (m) => m.stackGlobal(),
  0x51: (m) => m.persistent(), // BINPERSID
  0x52: (m) => m.reduce(),
  0x81: (m) => m.reduce(), // NEWOBJ
  0x62: (m) => m.build(),
});

function bytesOf(machine: Unpickler, length: number): Uint8Array {
  machine.take(length);
  // Their content is never asked for.
  return new Uint8Array(0);
}

function table(steps: Readonly<Record<number, Step>>): (Step | undefined)[] {
  return Array.from({ length: 256 }, (_, opcode) => steps[opcode]);
}
