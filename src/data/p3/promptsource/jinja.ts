import { Environment, parse, tokenize } from '@huggingface/jinja';
import { HintError } from '../../../util/errors.js';
import { withinSeconds } from '../../../util/limits.js';
import { BoundedInterpreter } from './bounded-interpreter.js';
import { call, literal, ownName, rewritten, walk, type Node } from './jinja-nodes.js';
import { FILTERS, functionValue, itemOf, listValue, itemsOf, METHODS, pythonText, truncated, valueOf, type Value } from './python-values.js'; // prettier-ignore

/** What a template gives for a row: text, and the texts that came of the row's fields. */
export type RenderedPart = { readonly text: string } | { readonly text: string; readonly field: string };

/** Names that every template has. `loop` and `namespace` are the library's. */
const GLOBALS = new Set(['range', 'zip', 'namespace', 'loop', 'dict', 'true', 'false', 'none', 'True', 'False', 'None']); // prettier-ignore

const STATEMENTS = new Set(['If', 'For', 'Set', 'Macro', 'Comment', 'FilterStatement', 'CallStatement', 'Break', 'Continue']); // prettier-ignore

// Unicode's noncharacters, which no text has: where a field's text begins, its number ends, and the text ends.
const [OPEN, MIDDLE, CLOSE] = ['\uFDD0', '\uFDD1', '\uFDD2'];
const MARKS = /[\uFDD0-\uFDD2]/;
const ALL_MARKS = /[\uFDD0-\uFDD2]/g;

const REPEATING = new Set(['For', 'Set', 'Macro', 'CallStatement']);

// More than promptsource's templates count to.
const LONGEST_RANGE = 100_000;

/** How a template is compiled. */
export interface JinjaOptions {
  /** Where it stands, for errors. */
  readonly where: string;
  /** Longest text of one output expression in characters; absent: no limit. */
  readonly longest?: number;
  /** Names that are known beside the row's fields, and whether their values come from the row. */
  readonly given?: ReadonlyMap<string, boolean>;
}

/**
 * A Jinja template as promptsource uses them, with Python's notion of text. Of each output it is known whether it came
 * from a field of the row: an expression with a field in it is one, and so is a whole loop over a field.
 */
export class JinjaTemplate {
  /** Fields that a row has to have. */
  readonly fields: ReadonlySet<string>;
  private readonly program: Node;
  /** Without statements that may run many times or grow a value, so that rendering takes no longer than reading it. */
  private readonly isPlain: boolean;
  private readonly names: string[] = [];
  /** Variables of the template, and whether a field has gone into them. */
  private readonly locals: Map<string, boolean>;

  /** @throws HintError INVALID_DATA for a template that cannot be parsed, LIMIT_EXCEEDED for one that takes too long */
  constructor(
    source: string,
    private readonly options: JinjaOptions,
  ) {
    const fields = new Set<string>();
    this.fields = fields;
    this.locals = new Map(options.given);
    try {
      if (MARKS.test(source)) throw new Error('it holds the characters U+FDD0 to U+FDD2, which no text has');
      this.program = withinSeconds(options.where, () => this.compile(source, fields));
    } catch (cause) {
      throw this.error(cause);
    }
    let isPlain = true;
    walk(this.program, ({ type }) => void (isPlain &&= !REPEATING.has(type)));
    this.isPlain = isPlain;
  }

  private compile(source: string, fields: Set<string>): Node {
    const program = parse(tokenize(source, {})) as unknown as Node;
    this.declare(program);
    this.collect(program, fields);
    program.body = this.statements(program.body as Node[], true);
    return program;
  }

  /** Whether a field of the row takes part. */
  get dependsOnRow(): boolean {
    return this.fields.size > 0 || [...(this.options.given?.values() ?? [])].some(Boolean);
  }

  /**
   * Renders a row.
   *
   * @param variables the row's fields, and what was given
   * @param random uniform in [0, 1), for filters that draw
   * @throws HintError INVALID_DATA for a field that the row lacks, or where the template fails; LIMIT_EXCEEDED where it
   *   takes more time or memory than a record may
   */
  render(variables: Readonly<Record<string, unknown>>, random: () => number): RenderedPart[] {
    const missing = [...this.fields].find((field) => !Object.hasOwn(variables, field));
    if (missing !== undefined)
      throw new HintError(
        'INVALID_DATA',
        `${this.options.where} reads the field "${missing}", which the row lacks; it has ${Object.keys(variables).join(', ') || 'none'}.`,
      );
    const environment = new Environment();
    for (const [name, value] of GLOBAL_VALUES) environment.setVariable(name, value);
    for (const [name, value] of Object.entries(variables)) environment.setVariable(name, valueOf(value));
    // Behind the row's fields, which may have any name.
    for (const [name, value] of OWN_FUNCTIONS) environment.setVariable(name, value);
    for (const [name, make] of Object.entries(FILTERS))
      environment.setVariable(ownName(`filter_${name}`), functionValue(make(random)));
    environment.setVariable(
      ownName('text'),
      functionValue(([value]) => valueOf(this.cut(value))),
    );
    let rendered: string;
    try {
      const run = (): string =>
        pythonText(new BoundedInterpreter(environment, this.options.where).run(this.program));
      rendered = this.isPlain ? run() : withinSeconds(this.options.where, run);
    } catch (cause) {
      throw this.error(cause);
    }
    return this.segments(rendered);
  }

  private cut(value: Value | undefined): string {
    const whole = value === undefined ? '' : pythonText(value);
    const text = MARKS.test(whole) ? whole.replace(ALL_MARKS, '\uFFFD') : whole;
    const { longest } = this.options;
    return longest === undefined ? text : truncated(text, longest);
  }

  private segments(rendered: string): RenderedPart[] {
    const segments: RenderedPart[] = [];
    for (const [i, piece] of rendered.split(OPEN).entries()) {
      const [inside, outside] = i === 0 ? [undefined, piece] : (piece.split(CLOSE) as [string, string]);
      if (inside !== undefined) {
        const [number, text] = inside.split(MIDDLE) as [string, string];
        segments.push({ text, field: this.names[Number(number)] as string });
      }
      if (outside !== '') segments.push({ text: outside });
    }
    return segments;
  }

  private error(cause: unknown): HintError {
    if (cause instanceof HintError) return cause;
    const text = cause instanceof RangeError ? 'it calls itself, or is nested, too deeply, or its text is too long' : String((cause as Error).message); // prettier-ignore
    const reason = text.replace(/^Unknown \w+ filter: (.*)$/, 'there is no filter "$1"');
    return new HintError('INVALID_DATA', `${this.options.where} does not work: ${reason}; correct it.`, {
      cause,
    });
  }

  /** Finds variables that the template sets, until nothing changes: a field spreads from one to another. */
  private declare(node: Node): void {
    let before: number;
    const known = (): number => [...this.locals.values()].filter(Boolean).length + this.locals.size;
    do {
      before = known();
      walk(node, (one) => {
        if (one.type === 'Set') this.spread(one.assignee as Node, this.reads(one.value ?? one.body));
        if (one.type === 'For') this.spread(one.loopvar as Node, this.reads(one.iterable));
        if (one.type === 'Macro') {
          this.spread(one.name as Node, this.reads(one.body));
          for (const argument of one.args as Node[])
            this.spread(argument.type === 'Identifier' ? argument : (argument.key as Node), false);
        }
      });
    } while (known() !== before);
  }

  private spread(target: Node, fromRow: boolean): void {
    if (target.type === 'TupleLiteral') for (const one of target.value as Node[]) this.spread(one, fromRow);
    const root = target.type === 'MemberExpression' ? (target.object as Node) : target;
    if (root.type !== 'Identifier') return;
    const name = root.value as string;
    this.locals.set(name, (this.locals.get(name) ?? false) || fromRow);
  }

  /** Whether what a part of the template gives depends on the row. */
  private reads(part: unknown): boolean {
    let found = false;
    walk(part, (node) => {
      found ||= node.type === 'Identifier' && this.isFromRow(node.value as string);
    });
    return found;
  }

  private isFromRow(name: string): boolean {
    return this.locals.get(name) ?? !GLOBALS.has(name);
  }

  /** Fields that are read, but for those that are only asked whether they are there. */
  private collect(part: unknown, fields: Set<string>): void {
    walk(part, (node) => {
      const test = node.type === 'TestExpression' ? (node.test as Node).value : undefined;
      if (test === 'defined' || test === 'undefined') return false;
      if (node.type === 'Identifier') {
        const name = node.value as string;
        if (!this.locals.has(name) && !GLOBALS.has(name)) fields.add(name);
      }
      return undefined;
    });
  }

  private statements(list: readonly Node[], marks: boolean): Node[] {
    return list.flatMap((node) => {
      if (!STATEMENTS.has(node.type)) {
        if (node.type === 'StringLiteral') return [node];
        const name = marks && this.reads(node) ? this.nameOf(node) : undefined;
        return this.marked(name, call('text', [rewritten(node)]));
      }
      const body = node.body as Node[] | undefined;
      switch (node.type) {
        case 'If':
          node.test = rewritten(node.test as Node);
          node.body = this.statements(body ?? [], marks);
          node.alternate = this.statements(node.alternate as Node[], marks);
          return [node];
        case 'For': {
          const iterable = node.iterable as Node;
          const name = marks && this.reads(iterable) ? this.nameOf(iterable) : undefined;
          const inner = marks && name === undefined;
          node.iterable = rewritten(iterable);
          node.body = this.statements(body ?? [], inner);
          node.defaultBlock = this.statements(node.defaultBlock as Node[], inner);
          return this.marked(name, node);
        }
        case 'Set':
          if (node.value) node.value = rewritten(node.value as Node);
          node.body = this.statements(body ?? [], false);
          return [node];
        case 'Macro':
        case 'FilterStatement':
        case 'CallStatement': {
          const source = marks && node.type !== 'Macro' ? body?.find((one) => this.reads(one)) : undefined;
          const name = source && this.nameOf(source);
          node.body = this.statements(body ?? [], false);
          return this.marked(name, node);
        }
        default:
          return [node];
      }
    });
  }

  /** An output with marks around it that say which field it is; as it is where it is none. */
  private marked(name: string | undefined, output: Node): Node[] {
    if (name === undefined) return [output];
    const number = this.names.push(name) - 1;
    return [literal(`${OPEN}${number}${MIDDLE}`), output, literal(CLOSE)];
  }

  private nameOf(node: Node): string {
    const path = (one: Node): string | undefined => {
      switch (one.type) {
        case 'Identifier':
          return this.isFromRow(one.value as string) ? (one.value as string) : undefined;
        case 'MemberExpression': {
          const object = path(one.object as Node);
          const { type, value } = one.property as Node;
          const plain = !one.computed || type === 'StringLiteral' || type === 'IntegerLiteral';
          return object !== undefined && plain ? `${object}_${String(value)}` : object;
        }
        case 'FilterExpression':
          return path(one.operand as Node);
        case 'CallExpression': {
          const { type, object } = one.callee as Node;
          return type === 'MemberExpression' ? path(object as Node) : undefined;
        }
        default:
          return undefined;
      }
    };
    let name = path(node);
    walk(node, (one) => {
      if (one.type === 'Identifier' && this.isFromRow(one.value as string)) name ??= one.value as string;
    });
    return (name ?? 'field').toUpperCase().replace(/[^A-Z0-9_]/g, '_');
  }
}

const GLOBAL_VALUES: ReadonlyMap<string, Value> = new Map([
  ['True', valueOf(true)],
  ['False', valueOf(false)],
  ['None', valueOf(null)],
  ['true', valueOf(true)],
  ['false', valueOf(false)],
  ['none', valueOf(null)],
  [
    'range',
    functionValue((values) => {
      const [first = 0, second, step = 1] = values.map(({ value }) => Number(value));
      const [begin, end] = second === undefined ? [0, first] : [first, second];
      const count = Math.max(0, Math.ceil((end - begin) / step));
      if (!(count <= LONGEST_RANGE))
        throw new Error(`range() gives ${count} numbers, at most ${LONGEST_RANGE} are allowed`);
      return listValue(Array.from({ length: count }, (_, i) => valueOf(begin + i * step)));
    }),
  ],
  [
    'zip',
    functionValue((lists) => {
      const all = lists.map((list) => itemsOf(list) ?? []);
      const shortest = Math.min(...all.map(({ length }) => length));
      return listValue(
        Array.from({ length: shortest }, (_, i) => listValue(all.map((one) => one[i] as Value))),
      );
    }),
  ],
]);

const OWN_FUNCTIONS: ReadonlyMap<string, Value> = new Map([
  [ownName('item'), functionValue(itemOf)],
  ...Object.entries(METHODS).map(([name, body]) => [ownName(`method_${name}`), functionValue(body)] as const),
]);
