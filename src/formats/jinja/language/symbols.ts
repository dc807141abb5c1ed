import { partsOf, visitExpression, type Block, type CallBlock, type Expression, type FilterBlock, type For, type Macro, type SetBlock, type Statement, type Target, type With } from './nodes.js'; // prettier-ignore

/**
 * Which variable a name stands for. Jinja decides that before it renders, from all that a scope reads and assigns to: a
 * variable belongs to the scope that assigns to it, and starts with the value that the name has outside.
 */

/** What a variable starts with when its scope is entered. */
export type Start =
  | { readonly from: 'parameter' }
  | { readonly from: 'nothing' }
  /** The row, or a name that every template has. */
  | { readonly from: 'context'; readonly name: string }
  | { readonly from: 'variable'; readonly id: string };

/** The variables of one scope. */
export class Scope {
  readonly level: number;
  /** name → variable */
  private ids = new Map<string, string>();
  private stored = new Set<string>();
  /** variable → its start */
  starts = new Map<string, Start>();

  constructor(readonly parent: Scope | undefined) {
    this.level = parent ? parent.level + 1 : 0;
  }

  /** The variable of a name, here or around; undefined for a name that no scope has seen. */
  find(name: string): string | undefined {
    return this.ids.get(name) ?? this.parent?.find(name);
  }

  private define(name: string, start: Start): string {
    const id = `${this.level} ${name}`;
    this.ids.set(name, id);
    this.starts.set(id, start);
    return id;
  }

  load(name: string): void {
    if (this.find(name) === undefined) this.define(name, { from: 'context', name });
  }

  store(name: string): void {
    this.stored.add(name);
    if (this.ids.has(name)) return;
    const id = this.parent?.find(name);
    this.define(name, id === undefined ? { from: 'nothing' } : { from: 'variable', id });
  }

  parameter(name: string): string {
    this.stored.add(name);
    return this.define(name, { from: 'parameter' });
  }

  /** Reads branches of which one is taken: what only some assign to starts with the value from outside. */
  branches(reads: readonly ((scope: Scope) => void)[]): void {
    const all = reads.map((read) => {
      const branch = new Scope(this.parent);
      branch.ids = new Map(this.ids);
      branch.stored = new Set(this.stored);
      branch.starts = new Map(this.starts);
      read(branch);
      return branch;
    });
    const assigned = new Set(all.flatMap((branch) => [...branch.stored]).filter((name) => !this.stored.has(name))); // prettier-ignore
    for (const branch of all) {
      for (const [name, id] of branch.ids) this.ids.set(name, id);
      for (const [id, start] of branch.starts) this.starts.set(id, start);
      for (const name of branch.stored) this.stored.add(name);
    }
    for (const name of assigned) {
      const outer = this.parent?.find(name);
      this.starts.set(
        this.find(name) as string,
        outer === undefined ? { from: 'context', name } : { from: 'variable', id: outer },
      );
    }
  }

  /** All names that are assigned to here or around, with their variables. */
  assigned(): Map<string, string> {
    const names = this.parent?.assigned() ?? new Map<string, string>();
    for (const name of this.stored) names.set(name, this.ids.get(name) as string);
    return names;
  }
}

function readExpression(scope: Scope, node: Expression | undefined): void {
  visitExpression(node, (one) => {
    if (one.type === 'Member') scope.load(one.name);
    if (one.type !== 'Name') return;
    if (one.use === 'load') scope.load(one.name);
    else if (one.use === 'store') scope.store(one.name);
    else scope.parameter(one.name);
  });
}

/** Reads statements, without those in scopes of their own. */
function readStatements(scope: Scope, statements: readonly Statement[]): void {
  for (const node of statements) {
    switch (node.type) {
      case 'Output':
        for (const part of node.parts) if (part.type !== 'Data') readExpression(scope, part);
        break;
      case 'For':
        readExpression(scope, node.iterable);
        break;
      case 'If': {
        const [first, ...others] = node.branches as [(typeof node.branches)[number], ...typeof node.branches];
        readExpression(scope, first.test);
        scope.branches([
          (branch) => readStatements(branch, first.body),
          // All of `elif` is one branch to Jinja, each of it with branches of its own.
          (branch) => {
            for (const { test, body } of others) {
              readExpression(branch, test);
              branch.branches([(inner) => readStatements(inner, body), () => undefined, () => undefined]);
            }
          },
          (branch) => readStatements(branch, node.otherwise),
        ]);
        break;
      }
      case 'Set':
        readExpression(scope, node.value);
        readExpression(scope, node.target);
        break;
      case 'SetBlock':
        readExpression(scope, node.target);
        break;
      case 'Macro':
        scope.store(node.name);
        break;
      case 'CallBlock':
        readExpression(scope, node.call);
        break;
      case 'FilterBlock':
        readExpression(scope, node.filter);
        break;
      case 'With':
        for (const value of node.values) readExpression(scope, value);
        break;
      case 'Block':
      case 'Elsewhere':
        break;
    }
  }
}

/** The scope of a whole template. */
export function templateScope(body: readonly Statement[]): Scope {
  const scope = new Scope(undefined);
  if (mentions(body, 'self')) scope.parameter('self');
  readStatements(scope, body);
  return scope;
}

/** The scope of a block, which sees nothing of what is around it. */
export function blockScope({ body }: Block): Scope {
  const scope = new Scope(undefined);
  for (const name of ['self', 'super']) if (mentions(body, name)) scope.parameter(name);
  readStatements(scope, body);
  return scope;
}

function readTarget(scope: Scope, target: Target): void {
  if (target.type === 'Name') scope.parameter(target.name);
  else if (target.type === 'Tuple') for (const item of target.items) readTarget(scope, item as Target);
}

/** The scope of a loop's body, with `loop` where that is read. */
export function loopScope(node: For, around: Scope): { scope: Scope; hasLoop: boolean } {
  const scope = new Scope(around);
  const hasLoop = node.recursive || mentions(node.body, 'loop');
  if (hasLoop) scope.parameter('loop');
  readTarget(scope, node.target);
  readStatements(scope, node.body);
  return { scope, hasLoop };
}

/** The scope of a loop's condition. */
export function testScope(node: For, around: Scope): Scope {
  const scope = new Scope(around);
  readTarget(scope, node.target);
  readExpression(scope, node.test);
  return scope;
}

/** The scope of statements that come alone: a loop's `else`, a filter's or set's block. */
export function innerScope(
  node: { readonly body: readonly Statement[] } | FilterBlock | SetBlock,
  around: Scope,
): Scope {
  // prettier-ignore
  const scope = new Scope(around);
  if ('type' in node && node.type === 'FilterBlock') {
    readStatements(scope, node.body);
    readExpression(scope, node.filter);
  } else readStatements(scope, node.body);
  return scope;
}

/** The scope of what `with` sets. */
export function withScope(node: With, around: Scope): Scope {
  const scope = new Scope(around);
  for (const target of node.targets) readExpression(scope, target);
  readStatements(scope, node.body);
  return scope;
}

/** The scope of a macro, with which of `caller`, `kwargs` and `varargs` it reads without being given them by name. */
export function macroScope(
  node: Macro | CallBlock,
  around: Scope,
): { scope: Scope; special: ReadonlySet<string> } {
  const scope = new Scope(around);
  const read = (): void => {
    for (const one of [...node.parameters, ...node.defaults]) readExpression(scope, one);
    readStatements(scope, node.body);
  };
  const named = new Set(node.parameters.map(({ name }) => name));
  const special = new Set(['caller', 'kwargs', 'varargs'].filter((name) => !named.has(name) && mentions(node.body, name))); // prettier-ignore
  read();
  for (const name of special) scope.parameter(name);
  return { scope, special };
}

/** Whether statements read a name before they assign to it, in all scopes but those of blocks. */
export function mentions(statements: readonly Statement[], name: string): boolean {
  let first: Expression | undefined;
  const look = (body: readonly Statement[]): void => {
    for (const node of body) {
      if (node.type === 'Block') continue;
      const { expressions, bodies } = partsOf(node);
      for (const expression of expressions)
        visitExpression(expression, (one) => {
          if (one.type === 'Name' && one.name === name) first ??= one;
        });
      bodies.forEach(look);
    }
  };
  look(statements);
  return first?.type === 'Name' && first.use === 'load';
}
