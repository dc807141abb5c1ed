import type { Value } from '../python/values.js';

/** The parts of a template, as the parser gives them. */

/** What a call, filter or test is given. */
export interface Given {
  readonly args: readonly Expression[];
  readonly named: readonly { readonly name: string; readonly value: Expression }[];
  /** `*list` */
  readonly list: Expression | undefined;
  /** `**dict` */
  readonly dict: Expression | undefined;
}

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export interface Name {
  readonly type: 'Name';
  readonly name: string;
  use: 'load' | 'store' | 'parameter';
}

/** `namespace.name`, which is assigned to. */
export interface Member {
  readonly type: 'Member';
  readonly name: string;
  readonly attribute: string;
}

export interface TupleNode {
  readonly type: 'Tuple';
  readonly items: readonly Expression[];
}

export interface Call {
  readonly type: 'Call';
  readonly callee: Expression;
  readonly given: Given;
}

export interface Filter {
  readonly type: 'Filter';
  /** Undefined for the first filter of a block: it is given what the block renders. */
  readonly node: Expression | undefined;
  readonly name: string;
  readonly given: Given;
}

type Plain =
  | { readonly type: 'Constant'; readonly value: Value }
  | Name
  | Member
  | TupleNode
  | { readonly type: 'List'; readonly items: readonly Expression[] }
  | { readonly type: 'Dict'; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | { readonly type: 'Condition'; readonly test: Expression; readonly yes: Expression; readonly no: Expression | undefined } // prettier-ignore
  | { readonly type: 'Binary'; readonly operator: '+' | '-' | '*' | '/' | '//' | '%' | '**'; readonly left: Expression; readonly right: Expression } // prettier-ignore
  | { readonly type: 'Logic'; readonly operator: 'and' | 'or'; readonly left: Expression; readonly right: Expression } // prettier-ignore
  | { readonly type: 'Not'; readonly node: Expression }
  | { readonly type: 'Sign'; readonly sign: '+' | '-'; readonly node: Expression }
  | { readonly type: 'Compare'; readonly first: Expression; readonly rest: readonly { readonly operator: Comparison; readonly node: Expression }[] } // prettier-ignore
  | { readonly type: 'Concat'; readonly parts: readonly Expression[] }
  | { readonly type: 'Attribute'; readonly node: Expression; readonly name: string }
  | { readonly type: 'Item'; readonly node: Expression; readonly key: Expression }
  | { readonly type: 'Slice'; readonly start: Expression | undefined; readonly stop: Expression | undefined; readonly step: Expression | undefined } // prettier-ignore
  | Call
  | Filter
  | { readonly type: 'Test'; readonly node: Expression; readonly name: string; readonly given: Given };

/** `grouped`: it stands in parentheses of its own. */
export type Expression = Plain & { grouped?: boolean };

export type Target = Name | Member | TupleNode;

export interface Signature {
  readonly parameters: readonly Name[];
  /** Of the last parameters. */
  readonly defaults: readonly Expression[];
}

export interface For {
  readonly type: 'For';
  readonly target: Target;
  readonly iterable: Expression;
  readonly test: Expression | undefined;
  readonly recursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
}

export interface If {
  readonly type: 'If';
  readonly branches: readonly { readonly test: Expression; readonly body: readonly Statement[] }[];
  readonly otherwise: readonly Statement[];
}

export interface Macro extends Signature {
  readonly type: 'Macro';
  readonly name: string;
  readonly body: readonly Statement[];
}

export interface CallBlock extends Signature {
  readonly type: 'CallBlock';
  readonly call: Call;
  readonly body: readonly Statement[];
}

export interface SetBlock {
  readonly type: 'SetBlock';
  readonly target: Target;
  readonly filter: Filter | undefined;
  readonly body: readonly Statement[];
}

export interface FilterBlock {
  readonly type: 'FilterBlock';
  readonly filter: Filter;
  readonly body: readonly Statement[];
}

export interface With {
  readonly type: 'With';
  readonly targets: readonly Target[];
  readonly values: readonly Expression[];
  readonly body: readonly Statement[];
}

export interface Block {
  readonly type: 'Block';
  readonly name: string;
  readonly scoped: boolean;
  readonly body: readonly Statement[];
}

export interface Output {
  readonly type: 'Output';
  readonly parts: readonly (Expression | { readonly type: 'Data'; readonly text: string })[];
}

export type Statement =
  | Output
  | For
  | If
  | { readonly type: 'Set'; readonly target: Target; readonly value: Expression }
  | SetBlock
  | Macro
  | CallBlock
  | FilterBlock
  | With
  | Block
  /** What would read another template, of which there are none. */
  | { readonly type: 'Elsewhere'; readonly tag: string };

/** Calls `visit` for an expression and all in it, from the outside; where that returns false, not for what is in it. */
export function visitExpression(node: Expression | undefined, visit: (node: Expression) => unknown): void {
  if (!node || visit(node) === false) return;
  for (const child of childrenOf(node)) visitExpression(child, visit);
}

function givenParts({ args, named, list, dict }: Given): (Expression | undefined)[] {
  return [...args, ...named.map(({ value }) => value), list, dict];
}

function childrenOf(node: Expression): readonly (Expression | undefined)[] {
  switch (node.type) {
    case 'Constant':
    case 'Name':
    case 'Member':
      return [];
    case 'Tuple':
    case 'List':
      return node.items;
    case 'Dict':
      return node.pairs.flat();
    case 'Condition':
      return [node.test, node.yes, node.no];
    case 'Binary':
    case 'Logic':
      return [node.left, node.right];
    case 'Not':
    case 'Sign':
    case 'Attribute':
      return [node.node];
    case 'Compare':
      return [node.first, ...node.rest.map((one) => one.node)];
    case 'Concat':
      return node.parts;
    case 'Item':
      return [node.node, node.key];
    case 'Slice':
      return [node.start, node.stop, node.step];
    case 'Call':
      return [node.callee, ...givenParts(node.given)];
    case 'Filter':
    case 'Test':
      return [node.node, ...givenParts(node.given)];
  }
}

/** The expressions of a statement, without those of statements in it, and the statements in it. */
export function partsOf(node: Statement): {
  expressions: (Expression | undefined)[];
  bodies: (readonly Statement[])[];
} {
  // prettier-ignore
  switch (node.type) {
    case 'Output':
      return { expressions: node.parts.filter((part) => part.type !== 'Data'), bodies: [] };
    case 'For':
      return { expressions: [node.target, node.iterable, node.test], bodies: [node.body, node.otherwise] };
    case 'If':
      return {
        expressions: node.branches.map(({ test }) => test),
        bodies: [...node.branches.map(({ body }) => body), node.otherwise],
      };
    case 'Set':
      return { expressions: [node.target, node.value], bodies: [] };
    case 'SetBlock':
      return { expressions: [node.target, node.filter], bodies: [node.body] };
    case 'Macro':
      return { expressions: [...node.parameters, ...node.defaults], bodies: [node.body] };
    case 'CallBlock':
      return { expressions: [...node.parameters, ...node.defaults, node.call], bodies: [node.body] };
    case 'FilterBlock':
      return { expressions: [node.filter], bodies: [node.body] };
    case 'With':
      return { expressions: [...node.targets, ...node.values], bodies: [node.body] };
    case 'Block':
      return { expressions: [], bodies: [node.body] };
    case 'Elsewhere':
      return { expressions: [], bodies: [] };
  }
}

/** Calls `visit` for every expression in statements and in the statements in them. */
export function visitAll(statements: readonly Statement[], visit: (node: Expression) => unknown): void {
  for (const statement of statements) {
    const { expressions, bodies } = partsOf(statement);
    for (const expression of expressions) visitExpression(expression, visit);
    for (const body of bodies) visitAll(body, visit);
  }
}

/** Whether a value is written in the template as it is; Jinja makes it before it renders anything. */
export function isLiteral(node: Expression): boolean {
  if (node.type === 'Constant') return true;
  if (node.type === 'Sign') return isLiteral(node.node);
  if (node.type === 'List' || node.type === 'Tuple') return node.items.every(isLiteral);
  return node.type === 'Dict' && node.pairs.flat().every(isLiteral);
}
