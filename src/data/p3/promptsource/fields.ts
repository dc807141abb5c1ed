import { partsOf, visitAll, visitExpression, type Expression, type Statement } from '../../../formats/jinja/language/nodes.js'; // prettier-ignore
import { GLOBAL_NAMES } from '../../../formats/jinja/library/globals.js';

/** Which parts of a template come from the fields of the row, and what such a part is called. */
export class FieldNames {
  /** Fields that the template reads. */
  readonly fields: ReadonlySet<string>;
  /** Variables of the template, and whether a field has gone into them. */
  private readonly own: ReadonlyMap<string, boolean>;
  private readonly names = new Map<object, string | undefined>();

  /** @param given names that are known beside the row's fields, and whether their values come from the row */
  constructor(body: readonly Statement[], given: ReadonlyMap<string, boolean>) {
    this.own = followed(body, given);
    const fields = new Set<string>();
    visitAll(body, (node) => {
      if (node.type === 'Name' && !this.own.has(node.name) && !GLOBALS.has(node.name)) fields.add(node.name);
    });
    this.fields = fields;
  }

  /** The name of what an output, or a statement as one, renders; undefined where no field takes part. */
  nameOf(node: Statement | Expression): string | undefined {
    if (!this.names.has(node)) this.names.set(node, this.nameFor(node));
    return this.names.get(node);
  }

  /** Whether all that a statement renders is one field: a loop over one, or a block of which a filter or macro makes it. */
  isOne(node: Statement): boolean {
    return ['For', 'FilterBlock', 'CallBlock'].includes(node.type) && this.nameOf(node) !== undefined;
  }

  private nameFor(node: Statement | Expression): string | undefined {
    switch (node.type) {
      case 'For':
        return this.ofExpression(node.iterable);
      case 'FilterBlock':
      case 'CallBlock': {
        let name: string | undefined;
        visitAll(node.body, (one) => {
          name ??= this.ofExpression(one);
          return false;
        });
        return name ?? (node.type === 'CallBlock' ? this.ofExpression(node.call) : undefined);
      }
      case 'Output':
      case 'If':
      case 'Set':
      case 'SetBlock':
      case 'Macro':
      case 'With':
      case 'Block':
      case 'Elsewhere':
        return undefined;
      default:
        return this.ofExpression(node);
    }
  }

  private isFromRow(name: string): boolean {
    return this.own.get(name) ?? !GLOBALS.has(name);
  }

  private ofExpression(node: Expression): string | undefined {
    let name = this.path(node);
    visitExpression(node, (one) => {
      if (one.type === 'Name' && this.isFromRow(one.name)) name ??= one.name;
    });
    return name?.toUpperCase().replace(/[^A-Z0-9_]/g, '_');
  }

  /** `PRODUCT_NAME` for `product.name`, also behind filters and methods. */
  private path(node: Expression): string | undefined {
    const below = (object: Expression, key: string | undefined): string | undefined => {
      const path = this.path(object);
      return path !== undefined && key !== undefined ? `${path}_${key}` : path;
    };
    switch (node.type) {
      case 'Name':
        return this.isFromRow(node.name) ? node.name : undefined;
      case 'Attribute':
        return below(node.node, node.name);
      case 'Item': {
        const { key } = node;
        const isPlain = key.type === 'Constant' && ['string', 'bigint'].includes(typeof key.value);
        return below(node.node, isPlain ? String(key.value) : undefined);
      }
      case 'Filter':
        return node.node && this.path(node.node);
      case 'Call':
        return node.callee.type === 'Attribute' ? this.path(node.callee.node) : undefined;
      default:
        return undefined;
    }
  }
}

/** Names that every template has. */
const GLOBALS: ReadonlySet<string> = new Set([...GLOBAL_NAMES, 'loop', 'self', 'super', 'caller', 'varargs', 'kwargs']); // prettier-ignore

/** Follows fields from variable to variable. */
function followed(body: readonly Statement[], given: ReadonlyMap<string, boolean>): Map<string, boolean> {
  const own = new Map(given);
  const goesInto = new Map<string, string[]>();
  const collect = (statements: readonly Statement[]): void => {
    for (const node of statements) {
      const { targets, sources } = assignments(node);
      const names = targets.flatMap(rootNames);
      const parameters = node.type === 'Macro' ? node.parameters.map(({ name }) => name) : [];
      for (const name of [...names, ...parameters]) own.set(name, own.get(name) ?? false);
      for (const source of sources) {
        if (!goesInto.has(source)) goesInto.set(source, []);
        goesInto.get(source)?.push(...names);
      }
      partsOf(node).bodies.forEach(collect);
    }
  };
  collect(body);
  const reached = [...goesInto.keys()].filter((name) => own.get(name) ?? !GLOBALS.has(name));
  for (let name = reached.pop(); name !== undefined; name = reached.pop())
    for (const target of goesInto.get(name) ?? []) {
      if (own.get(target)) continue;
      own.set(target, true);
      reached.push(target);
    }
  return own;
}

function assignments(node: Statement): { targets: Expression[]; sources: Set<string> } {
  const sources = new Set<string>();
  const from = (one: Expression): void => void (one.type === 'Name' && sources.add(one.name));
  switch (node.type) {
    case 'Set':
      visitExpression(node.value, from);
      return { targets: [node.target], sources };
    case 'SetBlock':
      visitAll(node.body, from);
      visitExpression(node.filter, from);
      return { targets: [node.target], sources };
    case 'For':
      visitExpression(node.iterable, from);
      return { targets: [node.target], sources };
    case 'With':
      for (const value of node.values) visitExpression(value, from);
      return { targets: [...node.targets], sources };
    case 'Macro':
      visitAll(node.body, from);
      return { targets: [{ type: 'Name', name: node.name, use: 'store' }], sources };
    case 'CallBlock':
      return { targets: [...node.parameters], sources };
    default:
      return { targets: [], sources };
  }
}

function rootNames(target: Expression): string[] {
  if (target.type === 'Tuple') return target.items.flatMap(rootNames);
  return target.type === 'Name' || target.type === 'Member' ? [target.name] : [];
}
