import { PythonError } from '../python/values.js';
import { isLiteral, partsOf, visitAll, visitExpression, type Expression, type Statement } from './nodes.js';

/** What Jinja refuses before it renders, though it can be parsed. */

/** Names that there are. */
export interface Known {
  hasFilter(name: string): boolean;
  hasTest(name: string): boolean;
}

/** @throws PythonError TemplateAssertionError */
export function checkTemplate(body: readonly Statement[], known: Known): void {
  const blocks = new Set<string>();
  check(body, known, false, blocks);
}

function fail(message: string): never {
  throw new PythonError('TemplateAssertionError', message);
}

/** @param soft inside `if`, where what is not there fails only when it is used */
function check(body: readonly Statement[], known: Known, soft: boolean, blocks: Set<string>): void {
  for (const node of body) {
    const { expressions, bodies } = partsOf(node);
    const isSoft = node.type === 'If' || (soft && !OWN_SCOPE.has(node.type));
    for (const expression of expressions) checkExpression(expression, known, isSoft);
    if (node.type === 'Block') {
      if (blocks.has(node.name)) fail(`block '${node.name}' defined twice`);
      blocks.add(node.name);
    }
    if (node.type === 'For') {
      const stores = (one: Expression): void => {
        if (one.type === 'Name' && one.use === 'store' && one.name === 'loop')
          fail("Can't assign to special loop variable in for-loop target");
      };
      visitExpression(node.target, stores);
      visitAll([...node.body, ...node.otherwise], stores);
    }
    if ((node.type === 'Macro' || node.type === 'CallBlock') && needsCaller(node.parameters, node.defaults.length, node.body)) // prettier-ignore
      fail('When defining macros or call blocks the special "caller" argument must be omitted or be given a default.'); // prettier-ignore
    for (const inner of bodies) check(inner, known, isSoft, blocks);
  }
}

const OWN_SCOPE = new Set(['For', 'Macro', 'CallBlock', 'FilterBlock', 'SetBlock', 'With', 'Block']);

function needsCaller(
  parameters: readonly { name: string }[],
  defaults: number,
  body: readonly Statement[],
): boolean {
  // prettier-ignore
  const at = parameters.findIndex(({ name }) => name === 'caller');
  if (at < 0 || at >= parameters.length - defaults) return false;
  let reads = false;
  visitAll(
    body,
    (one) => void (reads ||= one.type === 'Name' && one.name === 'caller' && one.use === 'load'),
  );
  return reads;
}

function checkExpression(node: Expression | undefined, known: Known, soft: boolean): void {
  visitExpression(node, (one) => {
    if (one.type === 'Dict' && isLiteral(one)) {
      const [key] = one.pairs.map(([first]) => first).filter(hasNoHash);
      if (key) throw new PythonError('TypeError', `unhashable type: '${key.type.toLowerCase()}'`);
    }
    if (one.type === 'Condition') {
      if (!soft) for (const part of [one.test, one.yes, one.no]) checkExpression(part, known, true);
      return soft;
    }
    if (soft) return true;
    if (one.type === 'Filter' && !known.hasFilter(one.name)) fail(`No filter named '${one.name}'.`);
    if (one.type === 'Test' && !known.hasTest(one.name)) fail(`No test named '${one.name}'.`);
    return true;
  });
}

function hasNoHash(node: Expression): boolean {
  return (
    node.type === 'List' || node.type === 'Dict' || (node.type === 'Tuple' && node.items.some(hasNoHash))
  );
}
