import { HintError } from '../util/errors.js';
import type { AttributeValue } from './native.js';
import { opEntry } from './op-entry.js';
import { kindOf } from './shape.js';
import { Tensor } from './tensor.js';

/**
 * Enqueues an op on the device of its tensors.
 *
 * @throws HintError INVALID_ARGUMENT naming op and input where none is a Tensor, and what {@link Device.apply} throws
 */
export function run(
  name: string,
  inputs: (Tensor | null | undefined)[],
  attributes: Record<string, AttributeValue | undefined> = {},
): (Tensor | null)[] {
  for (const input of inputs)
    if (input instanceof Tensor) return input.device.apply(name, inputs, attributes);
  throw new HintError(
    'INVALID_ARGUMENT',
    `${name}: ${opEntry(name).spec.inputs[0]?.name} must be a Tensor, not ${kindOf(inputs[0])}.`,
  );
}

/** @throws HintError INVALID_ARGUMENT naming the argument when it is no object that can hold options */
export function objectOf<T extends object>(value: T, name: string): T {
  if (typeof value === 'object' && value !== null) return value;
  throw new HintError('INVALID_ARGUMENT', `${name} must be an object, not ${kindOf(value)}.`);
}
