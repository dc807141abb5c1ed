import { HintError } from '../util/errors.js';
import type { AttributeValue } from './native.js';
import { opEntry, orderInputs, type OpEntry } from './op-entry.js';
import { kindOf } from './shape.js';
import { Tensor } from './tensor.js';

/** What an op computed, by the names of its declaration. */
export class Outputs {
  constructor(
    private readonly entry: OpEntry,
    private readonly tensors: readonly (Tensor | null)[],
  ) {}

  /** Undefined where the op, or this call of it, has no such output. */
  find(name: string): Tensor | undefined {
    return this.tensors[this.entry.outputs.indexOf(name)] ?? undefined;
  }
}

/**
 * Enqueues an op on the device of its tensors. Inputs, attributes and outputs go by the names of the op's declaration, so
 * that no caller depends on their order.
 *
 * @throws HintError INVALID_ARGUMENT naming op and input where none is a Tensor or there is no such input, and what
 *   {@link Device.apply} throws
 */
export function run(
  name: string,
  inputs: Readonly<Record<string, Tensor | undefined>>,
  attributes: Record<string, AttributeValue | undefined> = {},
): Outputs {
  const entry = opEntry(name);
  const ordered = orderInputs(entry, inputs);
  for (const input of ordered) {
    if (!(input instanceof Tensor)) continue;
    return new Outputs(entry, input.device.apply(name, ordered, attributes));
  }
  throw new HintError(
    'INVALID_ARGUMENT',
    `${name}: ${entry.spec.inputs[0]?.name} must be a Tensor, not ${kindOf(ordered[0])}.`,
  );
}

/** @throws HintError INTERNAL when the op has no output of that name, or the call none */
export function outputOf(outputs: Outputs, name: string): Tensor {
  const output = outputs.find(name);
  if (!output) throw new HintError('INTERNAL', `An op produced no output ${name}.`);
  return output;
}

/** @throws HintError INVALID_ARGUMENT naming the argument when it is no object that can hold options */
export function objectOf<T extends object>(value: T, name: string): T {
  if (typeof value === 'object' && value !== null) return value;
  throw new HintError('INVALID_ARGUMENT', `${name} must be an object, not ${kindOf(value)}.`);
}
