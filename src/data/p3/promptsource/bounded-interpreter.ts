import { Environment, Interpreter } from '@huggingface/jinja';
import { checkBytes, stopwatch, VALUE_BYTES } from '../../../util/limits.js';
import { itemsOf, type Value } from './python-values.js';

/** A node of a template. */
type Part = { readonly type: string } | undefined;

// The library's declarations do not resolve for modules.
const Base = Interpreter as unknown as new (environment: Environment) => {
  run(program: Part): Value;
  evaluate(part: Part, environment: Environment): Value;
};

// Steps between two looks at the clock: well below a millisecond.
const STEPS_PER_LOOK = 256;
// A character of a text takes up to two bytes.
const CHARACTER_BYTES = 2;

/**
 * An interpreter that ends where a template takes more than a record may: every value that a step makes counts as memory,
 * so that doubling a text or a list, and a loop of a billion rounds, come to an end.
 */
export class BoundedInterpreter extends Base {
  private taken = 0;
  private steps = 0;
  private readonly look: () => void;

  /** @param where names the template in errors */
  constructor(
    environment: Environment,
    private readonly where: string,
  ) {
    super(environment);
    this.look = stopwatch(() => where);
  }

  /** @throws HintError LIMIT_EXCEEDED; what the template throws */
  override evaluate(part: Part, environment: Environment): Value {
    if (++this.steps % STEPS_PER_LOOK === 0) this.look();
    const value = super.evaluate(part, environment);
    // Reading a name allocates nothing.
    if (part?.type !== 'Identifier') this.taken += VALUE_BYTES + sizeOf(value);
    checkBytes(this.where, 'rendering it takes at least', this.taken);
    return value;
  }
}

function sizeOf(value: Value): number {
  if (typeof value.value === 'string') return CHARACTER_BYTES * value.value.length;
  return VALUE_BYTES * (itemsOf(value)?.length ?? 0);
}
