import { HintError } from '../util/errors.js';
import { native, type AttributeValue, type NativeTensor, type OpSpec } from './native.js';
import { kindOf } from './shape.js';
import { Tensor } from './tensor.js';

/** One row of the op table with what a call of it looks up. */
export interface OpEntry {
  index: number;
  spec: OpSpec;
  inputIndex: Map<string, number>;
  attributeIndex: Map<string, number>;
  /** Names of the outputs. */
  outputs: string[];
  /** Inputs that the op changes in place. */
  mutable: number[];
  /** As many as the op has inputs. */
  noInputs: undefined[];
}

let opEntries: Map<string, OpEntry> | undefined;

/** @throws HintError INVALID_ARGUMENT when there is no such op */
export function opEntry(name: string): OpEntry {
  opEntries ??= new Map(
    native()
      .ops()
      .map((spec, index) => [
        spec.name,
        {
          index,
          spec,
          inputIndex: new Map(spec.inputs.map((input, i) => [input.name, i])),
          attributeIndex: new Map(spec.attributes.map((attribute, i) => [attribute.name, i])),
          outputs: spec.outputs.map((output) => output.name),
          mutable: spec.inputs.flatMap(({ mutable }, i) => (mutable ? [i] : [])),
          noInputs: spec.inputs.map(() => undefined),
        },
      ]),
  );
  const entry = opEntries.get(name);
  if (!entry) throw new HintError('INVALID_ARGUMENT', `There is no op named ${kindOf(name)}.`);
  return entry;
}

/**
 * What a caller gave as inputs, copied: a tape keeps them, whatever becomes of the caller's array.
 *
 * @throws HintError INVALID_ARGUMENT naming op and input when one is no Tensor, or there are more than the op has
 */
export function inputsOf({ spec }: OpEntry, values: readonly unknown[]): (Tensor | null)[] {
  if (!Array.isArray(values) || values.length > spec.inputs.length) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `${spec.name} takes an array of ${spec.inputs.length} inputs (${spec.inputs.map(({ name }) => name).join(', ')}), not ${Array.isArray(values) ? values.length : kindOf(values)}.`,
    );
  }
  const inputs = new Array<Tensor | null>(values.length);
  for (let i = 0; i < inputs.length; i++) {
    const value: unknown = values[i] ?? null;
    if (value !== null && !(value instanceof Tensor)) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `${spec.name}: ${spec.inputs[i]?.name} must be a Tensor, not ${kindOf(value)}.`,
      );
    }
    inputs[i] = value;
  }
  return inputs;
}

/**
 * Inputs in the order in which the op declares them; those not named are undefined.
 *
 * @throws HintError INVALID_ARGUMENT naming op and input when there is no such input
 */
export function orderInputs<T>(
  { spec, inputIndex, noInputs }: OpEntry,
  inputs: Readonly<Record<string, T>>,
): (T | undefined)[] {
  const values: (T | undefined)[] = noInputs.slice();
  for (const key in inputs) {
    const index = inputIndex.get(key);
    if (index === undefined) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `The op ${spec.name} has no input ${key}; it has ${[...inputIndex.keys()].join(', ')}.`,
      );
    }
    values[index] = inputs[key];
  }
  return values;
}

/**
 * The values of a native call, as the op declares them: handles of inputs, attributes, and a handle for each output to
 * take as far as there are spare ones, the last first.
 *
 * @throws HintError INVALID_ARGUMENT naming op and argument when there is no such attribute, or an input was disposed
 */
export function valuesOf(
  { spec, attributeIndex }: OpEntry,
  inputs: readonly (Tensor | null)[],
  attributes: Record<string, AttributeValue | undefined>,
  spares: readonly NativeTensor[],
): (NativeTensor | AttributeValue | null | undefined)[] {
  if (typeof attributes !== 'object' || attributes === null) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `${spec.name}: attributes must be an object, not ${kindOf(attributes)}.`,
    );
  }
  const inputCount = spec.inputs.length;
  const before = inputCount + spec.attributes.length;
  const values = new Array<NativeTensor | AttributeValue | null | undefined>(before).fill(undefined);
  // Attributes may have getters: handles are taken after they are read.
  for (const key in attributes) {
    const index = attributeIndex.get(key);
    if (index === undefined) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `The op ${spec.name} has no attribute ${key.length > 40 ? kindOf(key) : key}; it has ${[...attributeIndex.keys()].join(', ') || 'none'}.`,
      );
    }
    values[inputCount + index] = attributes[key];
  }
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i];
    if (!input) continue;
    if (input.disposed) {
      throw new HintError(
        'INVALID_ARGUMENT',
        `${spec.name}: ${spec.inputs[i]?.name} was used after it was disposed; keep it until its last use.`,
      );
    }
    values[i] = input.handle;
  }
  for (let i = 1; i <= spec.outputs.length && i <= spares.length; i++)
    values.push(spares[spares.length - i] as NativeTensor);
  return values;
}
