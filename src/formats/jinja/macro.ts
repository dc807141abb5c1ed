import { Attributed, PythonError, putText, Dict, Tuple, Undefined, type Arguments, type Value } from './python/values.js'; // prettier-ignore

/** What a macro is made of. */
export interface MacroParts {
  /** Undefined for what `call` hands over as `caller`. */
  readonly name: string | undefined;
  readonly parameters: readonly string[];
  /** Which of `caller`, `kwargs` and `varargs` its body reads. */
  readonly special: ReadonlySet<string>;
  /** Renders the body with values of its parameters; undefined for one that was not given. */
  readonly render: (values: ReadonlyMap<string, Value | undefined>) => string;
}

/** A macro, which renders its body when it is called. */
export class MacroValue extends Attributed {
  readonly type = 'Macro';

  constructor(private readonly parts: MacroParts) {
    super();
  }

  attribute(name: string): Value | undefined {
    const { parameters, special } = this.parts;
    switch (name) {
      case 'name':
        return this.parts.name ?? null;
      case 'arguments':
        return new Tuple(parameters);
      case 'caller':
        return special.has('caller');
      case 'catch_kwargs':
        return special.has('kwargs');
      case 'catch_varargs':
        return special.has('varargs');
      default:
        return undefined;
    }
  }

  override call({ positional, named }: Arguments): Value {
    const { name = 'None', parameters, special, render } = this.parts;
    const values = new Map<string, Value | undefined>();
    const rest = new Map(named);
    let foundCaller = false;
    for (const [i, parameter] of parameters.entries()) {
      if (i < positional.length) values.set(parameter, positional[i]);
      else {
        values.set(parameter, rest.get(parameter));
        rest.delete(parameter);
        foundCaller ||= parameter === 'caller';
      }
    }
    if (positional.length >= parameters.length) foundCaller = parameters.includes('caller');
    if (special.has('caller') && !foundCaller) {
      const caller = rest.get('caller') ?? null;
      values.set('caller', caller === null ? new Undefined('No caller defined') : caller);
      rest.delete('caller');
    }
    if (special.has('kwargs')) {
      const dict = new Dict();
      for (const [key, value] of rest) putText(dict, key, value);
      values.set('kwargs', dict);
    } else if (rest.size > 0)
      throw new PythonError(
        'TypeError',
        `macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`,
      );
    if (special.has('varargs')) values.set('varargs', new Tuple(positional.slice(parameters.length)));
    else if (positional.length > parameters.length)
      throw new PythonError(
        'TypeError',
        `macro '${name}' takes not more than ${parameters.length} argument(s)`,
      );
    return render(values);
  }

  shown(): string {
    return `<Macro ${this.parts.name === undefined ? 'anonymous' : `'${this.parts.name}'`}>`;
  }
}
