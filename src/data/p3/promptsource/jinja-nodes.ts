import { FILTERS, METHODS } from './python-values.js';

/** A node of a parsed template. */
export interface Node {
  type: string;
  [key: string]: unknown;
}

/** Text of the template. */
export function literal(value: string): Node {
  return { type: 'StringLiteral', value };
}

/** The name of a function of ours: one that no template can write. */
export function ownName(name: string): string {
  return `\uFDD4${name}`;
}

/** A call of a function of ours. */
export function call(name: string, args: Node[]): Node {
  return { type: 'CallExpression', callee: { type: 'Identifier', value: ownName(name) }, args };
}

/** Puts calls of our functions where the library lacks a filter, a method, or Python's way to find an item. */
export function rewritten(node: Node): Node {
  for (const [key, child] of Object.entries(node)) node[key] = rewrittenChild(child);
  if (node.type === 'FilterExpression') {
    const filter = node.filter as Node;
    const name = (filter.type === 'CallExpression' ? filter.callee : filter) as Node;
    const args = filter.type === 'CallExpression' ? (filter.args as Node[]) : [];
    if (Object.hasOwn(FILTERS, name.value as string))
      return call(`filter_${String(name.value)}`, [node.operand as Node, ...args]);
  }
  if (node.type === 'CallExpression') {
    const callee = node.callee as Node;
    const method = (callee.property as Node | undefined)?.value as string;
    if (callee.type === 'MemberExpression' && !callee.computed && Object.hasOwn(METHODS, method))
      return call(`method_${method}`, [callee.object as Node, ...(node.args as Node[])]);
  }
  if (node.type === 'MemberExpression' && node.computed && (node.property as Node).type !== 'SliceExpression')
    return call('item', [node.object as Node, node.property as Node]);
  return node;
}

function rewrittenChild(child: unknown): unknown {
  if (Array.isArray(child)) return child.map(rewrittenChild);
  if (child instanceof Map)
    return new Map([...(child as Map<Node, Node>)].map(([key, value]) => [asKey(key), rewritten(value)]));
  return isNode(child) ? rewritten(child) : child;
}

/** Keys are strings in the library; Python's numbers find their own again as text. */
function asKey(key: Node): Node {
  return key.type === 'IntegerLiteral' ? literal(String(key.value)) : rewritten(key);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

/** Every node that is no mere name of a property, filter, test or argument; `false` from the visitor skips what is below. */
export function walk(part: unknown, visit: (node: Node) => unknown): void {
  if (Array.isArray(part)) for (const one of part) walk(one, visit);
  else if (part instanceof Map) for (const [key, value] of part) walk([key, value], visit);
  else if (isNode(part)) {
    if (visit(part) === false) return;
    for (const [key, child] of Object.entries(part)) {
      if (key === 'property' && !part.computed) continue;
      if (part.type === 'FilterExpression' && key === 'filter') {
        const filter = child as Node;
        if (filter.type === 'CallExpression') walk(filter.args, visit);
        continue;
      }
      if (key === 'test' && part.type === 'TestExpression') continue;
      if (key === 'key' && part.type === 'KeywordArgumentExpression') continue;
      if (key !== 'operator') walk(child, visit);
    }
  }
}
