import { called, evaluate, evaluateCut, given } from './evaluate.js';
import { Context, Frame, Variables } from './frame.js';
import { Namespace } from './library/globals.js';
import type { Block, CallBlock, Expression, Filter, FilterBlock, For, Macro, SetBlock, Statement, Target } from './language/nodes.js'; // prettier-ignore
import { blockScope, innerScope, loopScope, macroScope, testScope, withScope, type Scope } from './language/symbols.js'; // prettier-ignore
import { filteredItems, Loop } from './loop.js';
import { MacroValue } from './macro.js';
import { isTrue, listOf } from './python/basics.js';
import { textOfValue } from './python/show.js';
import { Attributed, Callable, PythonError, Undefined, type Runtime, type Value } from './python/values.js'; // prettier-ignore

/** Takes what is rendered, piece by piece. @param node what it came of; undefined for the template's own text */
export type Write = (text: string, node?: Statement | Expression) => void;

/** Rendering that pauses between statements, so that whoever drives it can let others have a turn, or end it. */
export type Pausing<T> = Generator<void, T, void>;

/** Runs to the end what could pause: within an expression nothing does. */
export function withoutPause<T>(work: Pausing<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** How a template is rendered, beside its statements and names. */
export interface Rendering {
  readonly runtime: Runtime;
  /** Longest text of one output in characters. */
  readonly longest: number | undefined;
  /** All of the template, for `self` and blocks. */
  readonly body: readonly Statement[];
  /** Whether all that a statement renders is to be written as one piece of it. */
  readonly isOne: (node: Statement) => boolean;
  /** Whether it is time for a pause. */
  readonly isPauseDue: () => boolean;
}

// What Python can call within one another, in macros.
const DEEPEST = 150;

/** Runs the statements of a template. */
export class Executor {
  private readonly scopes = new WeakMap<object, unknown>();
  private depth = 0;

  constructor(private readonly rendering: Rendering) {}

  private get runtime(): Runtime {
    return this.rendering.runtime;
  }

  /** The scope of a node, which is the same at each run. */
  private cached<T>(node: object, make: () => T): T {
    if (!this.scopes.has(node)) this.scopes.set(node, make());
    return this.scopes.get(node) as T;
  }

  /** @throws PythonError; what the runtime throws */
  *run(body: readonly Statement[], frame: Frame, write: Write): Pausing<void> {
    for (const node of body) {
      if (this.rendering.isOne(node)) {
        const text = yield* this.captured((inner) => this.statement(node, frame, inner));
        write(text, node);
      } else yield* this.statement(node, frame, write);
    }
  }

  private *captured(run: (write: Write) => Pausing<void>): Pausing<string> {
    const pieces: string[] = [];
    yield* run((text) => void pieces.push(text));
    const text = pieces.join('');
    this.runtime.allocate(2 * text.length);
    return text;
  }

  private *statement(node: Statement, frame: Frame, write: Write): Pausing<void> {
    this.runtime.step();
    if (this.rendering.isPauseDue()) yield;
    switch (node.type) {
      case 'Output':
        for (const part of node.parts) {
          if (part.type === 'Data') write(part.text);
          else write(this.outputText(part, frame), part);
        }
        return;
      case 'If': {
        const branch = node.branches.find(({ test }) => isTrue(evaluate(test, frame, this.runtime)));
        yield* this.run(branch ? branch.body : node.otherwise, frame, write);
        return;
      }
      case 'For':
        yield* this.loop(node, frame, write);
        return;
      case 'Set':
        this.checkMembers(node.target, frame);
        this.assign(node.target, evaluate(node.value, frame, this.runtime), frame);
        return;
      case 'SetBlock':
        yield* this.setBlock(node, frame);
        return;
      case 'FilterBlock':
        write(yield* this.filterBlock(node, frame));
        return;
      case 'Macro':
        frame.set(node.name, this.macro(node, frame));
        return;
      case 'CallBlock':
        write(this.callBlock(node, frame));
        return;
      case 'With': {
        const scope = this.cached(node, () => withScope(node, frame.scope));
        const inner = frame.inner(scope);
        for (const [i, target] of node.targets.entries())
          this.assign(target, evaluate(node.values[i] as Expression, frame, this.runtime), inner);
        yield* this.run(node.body, inner, write);
        return;
      }
      case 'Block':
        yield* this.block(node, frame, write);
        return;
      case 'Elsewhere':
        throw new PythonError('TemplateNotFound', `the tag '${node.tag}' reads another template, of which there are none`); // prettier-ignore
    }
  }

  private outputText(part: Expression, frame: Frame): string {
    const { longest } = this.rendering;
    const value = longest === undefined ? evaluate(part, frame, this.runtime) : evaluateCut(part, frame, this.runtime, longest); // prettier-ignore
    const text = textOfValue(value, this.runtime);
    this.runtime.allocate(2 * text.length);
    return text;
  }

  private checkMembers(target: Target | Expression, frame: Frame): void {
    if (target.type === 'Tuple') for (const item of target.items) this.checkMembers(item, frame);
    if (target.type === 'Member' && !(frame.get(target.name) instanceof Namespace))
      throw new PythonError('TemplateRuntimeError', 'cannot assign attribute on non-namespace object');
  }

  private assign(target: Target | Expression, value: Value, frame: Frame): void {
    if (target.type === 'Name') frame.set(target.name, value);
    else if (target.type === 'Member') {
      this.runtime.allocate(64);
      (frame.get(target.name) as Namespace).set(target.attribute, value);
    } else if (target.type === 'Tuple') {
      const items = listOf(value, this.runtime);
      const wanted = target.items.length;
      if (items.length !== wanted) throw new PythonError('ValueError', items.length > wanted ? `too many values to unpack (expected ${wanted})` : `not enough values to unpack (expected ${wanted}, got ${items.length})`); // prettier-ignore
      for (const [i, one] of target.items.entries()) this.assign(one, items[i] as Value, frame);
    }
  }

  private *loop(node: For, frame: Frame, write: Write): Pausing<void> {
    const { scope, hasLoop } = this.cached(node, () => loopScope(node, frame.scope));
    const items = evaluate(node.iterable, frame, this.runtime);
    if (!node.recursive) {
      yield* this.items(node, frame, { scope, hasLoop, items, depth: 0n, variables: frame.variables, write });
      return;
    }
    const again = (others: Value, depth: bigint): Value =>
      this.nested(() =>
        withoutPause(
          this.captured((inner) =>
          this.items(node, frame, { scope, hasLoop, items: others, depth, variables: new Variables(frame.variables), write: inner, again })), // prettier-ignore
        ),
      );
    write(again(items, 0n) as string);
  }

  private *items(
    node: For,
    frame: Frame,
    given: {
      scope: Scope;
      hasLoop: boolean;
      items: Value;
      depth: bigint;
      variables: Variables;
      write: Write;
      again?: (items: Value, depth: bigint) => Value;
    },
  ): Pausing<void> {
    // prettier-ignore
    const { scope, variables, write } = given;
    const loop = new Loop(this.those(node, given.items, frame), this.runtime, given.depth, given.again);
    const inner = new Frame(scope, variables, frame.context);
    let isEmpty = true;
    for (let next = loop.next(); next; next = loop.next()) {
      isEmpty = false;
      this.runtime.step();
      if (given.hasLoop) inner.set('loop', loop);
      this.assign(node.target, next.item, inner);
      inner.enter();
      yield* this.run(node.body, inner, write);
    }
    if (!isEmpty || node.otherwise.length === 0) return;
    const otherwise = this.cached(node.otherwise, () => innerScope({ body: node.otherwise }, frame.scope));
    yield* this.run(node.otherwise, new Frame(frame.scope, variables, frame.context).inner(otherwise), write);
  }

  /** The items that a loop's condition leaves. */
  private those(node: For, items: Value, frame: Frame): Value {
    const { test } = node;
    if (!test) return items;
    const scope = this.cached(test, () => testScope(node, frame.scope));
    const inner = frame.inner(scope, new Variables(frame.variables));
    return filteredItems(
      items,
      (item) => {
        this.assign(node.target, item, inner);
        return isTrue(evaluate(test, inner, this.runtime));
      },
      this.runtime,
    );
  }

  private *setBlock(node: SetBlock, frame: Frame): Pausing<void> {
    const inner = frame.inner(this.cached(node, () => innerScope(node, frame.scope)));
    const text = yield* this.captured((write) => this.run(node.body, inner, write));
    this.checkMembers(node.target, frame);
    this.assign(node.target, node.filter ? this.filtered(node.filter, text, inner) : text, frame);
  }

  private *filterBlock(node: FilterBlock, frame: Frame): Pausing<string> {
    const inner = frame.inner(this.cached(node, () => innerScope(node, frame.scope)));
    const text = yield* this.captured((write) => this.run(node.body, inner, write));
    return textOfValue(this.filtered(node.filter, text, inner), this.runtime);
  }

  /** What a block's filters make of its text. */
  private filtered(filter: Filter, text: string, frame: Frame): Value {
    const value = filter.node?.type === 'Filter' ? this.filtered(filter.node, text, frame) : text;
    return this.runtime.filter(filter.name, given(filter.given, frame, this.runtime, value));
  }

  private nested<T>(work: () => T): T {
    if (this.depth >= DEEPEST) throw new PythonError('RecursionError', 'it calls itself too deeply');
    this.depth++;
    try {
      return work();
    } finally {
      this.depth--;
    }
  }

  private macro(node: Macro | CallBlock, frame: Frame): MacroValue {
    const { scope, special } = this.cached(node, () => macroScope(node, frame.scope));
    const render = (values: ReadonlyMap<string, Value | undefined>): string => {
      const inner = new Frame(scope, new Variables(frame.variables), frame.context);
      for (const [name, value] of values) inner.variables.set(scope.find(name) as string, value);
      inner.enter();
      const without = node.parameters.length - node.defaults.length;
      for (const [i, { name }] of node.parameters.entries()) {
        if (values.get(name) !== undefined) continue;
        const otherwise = node.defaults[i - without];
        inner.set(name, otherwise ? evaluate(otherwise, inner, this.runtime) : new Undefined(`parameter '${name}' was not provided`)); // prettier-ignore
      }
      return withoutPause(this.captured((write) => this.run(node.body, inner, write)));
    };
    return new MacroValue({
      name: node.type === 'Macro' ? node.name : undefined,
      parameters: node.parameters.map(({ name }) => name),
      special,
      render: (values) => this.nested(() => render(values)),
    });
  }

  private callBlock(node: CallBlock, frame: Frame): string {
    const caller = this.macro(node, frame);
    const callee = evaluate(node.call.callee, frame, this.runtime);
    const args = given(node.call.given, frame, this.runtime);
    if (args.named.has('caller')) throw new PythonError('TypeError', "got multiple values for keyword argument 'caller'"); // prettier-ignore
    const named = new Map([...args.named, ['caller', caller] as const]);
    return textOfValue(called(callee, { positional: args.positional, named }, this.runtime), this.runtime);
  }

  private *block(node: Block, frame: Frame, write: Write): Pausing<void> {
    const names = new Map<string, Value>();
    if (node.scoped)
      for (const [name, id] of frame.scope.assigned()) {
        const value = frame.variables.get(id);
        if (value !== undefined) names.set(name, value);
      }
    const context = node.scoped ? frame.context.with(names) : frame.context;
    const scope = this.cached(node, () => blockScope(node));
    const inner = new Frame(scope, new Variables(), context);
    this.setSelf(inner);
    const none = new Undefined(`there is no parent block called '${node.name}'.`);
    if (scope.find('super') !== undefined) inner.set('super', none);
    inner.enter();
    yield* this.run(node.body, inner, write);
  }

  /** Gives a frame `self`, whose attributes are the template's blocks. */
  setSelf(frame: Frame): void {
    if (frame.scope.starts.get('0 self')?.from !== 'parameter') return;
    frame.set('self', new Self((name) => {
      const block = blockNamed(this.rendering.body, name);
      return block && (() => this.nested(() => withoutPause(this.captured((write) => this.block(block, frame, write)))));
    })); // prettier-ignore
  }
}

function blockNamed(body: readonly Statement[], name: string): Block | undefined {
  for (const node of body) {
    if (node.type === 'Block' && node.name === name) return node;
    const inner = node.type === 'If' ? node.branches.flatMap((branch) => branch.body) : 'body' in node ? node.body : []; // prettier-ignore
    const found = blockNamed(inner, name);
    if (found) return found;
  }
  return undefined;
}

/** `self`, through which a template renders its blocks again. */
class Self extends Attributed {
  readonly type = 'TemplateReference';

  constructor(private readonly find: (name: string) => (() => string) | undefined) {
    super();
  }

  attribute(name: string): Value | undefined {
    const render = this.find(name);
    return render && new Callable(name, render);
  }

  shown(): string {
    return '<TemplateReference None>';
  }
}

/** A frame for a whole template. */
export function templateFrame(scope: Scope, names: ReadonlyMap<string, Value>): Frame {
  const frame = new Frame(scope, new Variables(), new Context(names), true);
  frame.enter();
  return frame;
}
