import { HintError } from '../../util/errors.js';
import { withinSeconds } from '../../util/limits.js';
import { Budget } from './budget.js';
import { Executor, templateFrame, withoutPause, type Pausing, type Write } from './execute.js';
import { checkTemplate } from './language/check.js';
import type { Statement } from './language/nodes.js';
import { parseTemplate } from './language/parser.js';
import { templateScope, type Scope } from './language/symbols.js';
import { FILTERS } from './library/filters.js';
import { globalsFor } from './library/globals.js';
import { applied, testsWith } from './library/tests.js';
import { isText, PythonError, textOf, typeOf, type Arguments, type Runtime, type Value } from './python/values.js'; // prettier-ignore
import { without } from './python/arguments.js';

/** How a template is rendered. */
export interface RenderOptions {
  readonly write: Write;
  /** Uniform in [0, 1), for filters that draw. */
  readonly random: () => number;
  /** Longest text of one output in characters; absent: no limit. */
  readonly longest?: number | undefined;
  /** Whether all that a statement renders is to be written as one piece of it. */
  readonly isOne?: (node: Statement) => boolean;
}

const hasFilter = (name: string): boolean => FILTERS.has(name);
const TESTS = testsWith(hasFilter);
const KNOWN = { hasFilter, hasTest: (name: string) => TESTS.has(name) };

/** A template of Jinja2 (3.1), which means what it means in Python, with the values of Python and nothing else in reach. */
export class Template {
  readonly body: readonly Statement[];
  private readonly scope: Scope;

  /**
   * @param where names the template in errors
   * @throws HintError INVALID_DATA for what Jinja cannot read, LIMIT_EXCEEDED for what takes too long
   */
  constructor(
    source: string,
    private readonly where: string,
  ) {
    try {
      this.body = withinSeconds(where, () => parseTemplate(source));
      checkTemplate(this.body, KNOWN);
      this.scope = templateScope(this.body);
    } catch (cause) {
      throw this.error(cause, 'cannot be read');
    }
  }

  /**
   * Writes what the template makes of values.
   *
   * @throws HintError INVALID_DATA, with a PythonError as its cause, where the template fails; LIMIT_EXCEEDED where it takes
   *   more steps, time or memory than a record may
   */
  render(values: ReadonlyMap<string, Value>, options: RenderOptions): void {
    withoutPause(this.renderInPauses(values, options));
  }

  /** {@link render} with a pause between statements every few milliseconds, whose time does not count. */
  *renderInPauses(values: ReadonlyMap<string, Value>, options: RenderOptions): Pausing<void> {
    const budget = new Budget(this.where);
    const runtime: Runtime = {
      step: (count = 1) => budget.step(count),
      allocate: (bytes) => budget.allocate(bytes),
      random: options.random,
      filter: (name, args) => filtered(name, args, runtime),
      test: (name, args) => tested(name, args, runtime),
    };
    const { write, longest, isOne = () => false } = options;
    const executor = new Executor({ runtime, longest, body: this.body, isOne, isPauseDue: () => budget.isPauseDue }); // prettier-ignore
    try {
      const frame = templateFrame(this.scope, new Map([...globalsFor(runtime), ...values]));
      executor.setSelf(frame);
      const running = executor.run(this.body, frame, write);
      while (running.next().done !== true) {
        const before = performance.now();
        yield;
        budget.paused(performance.now() - before);
      }
    } catch (cause) {
      throw this.error(cause, 'cannot be rendered');
    }
  }

  private error(cause: unknown, what: string): unknown {
    if (cause instanceof RangeError) {
      const reason = new PythonError('RecursionError', 'it calls itself, or is nested, too deeply, or its text is too long'); // prettier-ignore
      return this.error(reason, what);
    }
    if (!(cause instanceof PythonError)) return cause;
    return new HintError('INVALID_DATA', `${this.where} ${what}: ${cause.kind}: ${cause.message}`, { cause });
  }
}

function nameOf(kind: string, name: Value): string {
  if (!isText(name))
    throw new PythonError('TypeError', `the name of a ${kind} is a text, not ${typeOf(name)}`);
  return textOf(name);
}

function filtered(name: Value, args: Arguments, runtime: Runtime): Value {
  runtime.step();
  const filter = FILTERS.get(nameOf('filter', name));
  if (!filter)
    throw new PythonError('TemplateRuntimeError', `No filter named '${nameOf('filter', name)}' found.`);
  return filter(args.positional[0] as Value, without(args, 1), runtime);
}

function tested(name: Value, args: Arguments, runtime: Runtime): Value {
  runtime.step();
  const test = TESTS.get(nameOf('test', name));
  if (!test) throw new PythonError('TemplateRuntimeError', `No test named '${nameOf('test', name)}' found.`);
  return applied(test, args, runtime);
}
