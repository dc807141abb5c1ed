import type { Scope, Start } from './language/symbols.js';
import { Undefined, type Value } from './python/values.js';

/** Names that are looked up where no scope assigns to them: the row's, and those of the template's outermost scope. */
export class Context {
  /** What the template itself has set. */
  readonly own = new Map<string, Value>();

  constructor(private readonly given: ReadonlyMap<string, Value>) {}

  resolve(name: string): Value | undefined {
    const value = this.own.get(name);
    return value === undefined ? this.given.get(name) : value;
  }

  /** A context that also has these names. */
  with(names: ReadonlyMap<string, Value>): Context {
    return new Context(new Map([...this.given, ...this.own, ...names]));
  }
}

/** The variables of a macro, or of the whole template; a macro sees those around it as they are when it runs. */
export class Variables {
  private readonly values = new Map<string, Value | undefined>();

  constructor(private readonly around?: Variables) {}

  get(id: string): Value | undefined {
    return this.values.has(id) ? this.values.get(id) : this.around?.get(id);
  }

  set(id: string, value: Value | undefined): void {
    this.values.set(id, value);
  }
}

/** Where statements run: a scope with its variables. */
export class Frame {
  constructor(
    readonly scope: Scope,
    readonly variables: Variables,
    readonly context: Context,
    /** Whether what is assigned here belongs to the template as a whole. */
    readonly isTop = false,
  ) {}

  /** A frame for a scope in this one's, with its variables at their starts. */
  inner(scope: Scope, variables = this.variables): Frame {
    const frame = new Frame(scope, variables, this.context);
    frame.enter();
    return frame;
  }

  /** Sets the scope's variables to their starts; parameters keep what they were given. */
  enter(): void {
    for (const [id, start] of this.scope.starts)
      if (start.from !== 'parameter') this.variables.set(id, this.startOf(start));
  }

  private startOf(start: Start): Value | undefined {
    if (start.from === 'context') return this.context.resolve(start.name);
    return start.from === 'variable' ? this.variables.get(start.id) : undefined;
  }

  get(name: string): Value {
    const id = this.scope.find(name);
    const value = id === undefined ? this.context.resolve(name) : this.variables.get(id);
    return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
  }

  set(name: string, value: Value): void {
    this.variables.set(this.scope.find(name) as string, value);
    if (this.isTop) this.context.own.set(name, value);
  }
}
