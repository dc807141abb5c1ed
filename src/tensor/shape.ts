import { HintError } from '../util/errors.js';

/** What a tensor may have, as the native engine counts; of one with a side of 0, the product of its other sides. */
const MOST_ELEMENTS = 2 ** 48;
const MOST_EMPTY_SIDES = 2 ** 24;
const MOST_SIDES = 8;

/** `[2, 3]`, for messages. */
export function describeShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/**
 * Number of elements of a tensor of this shape: the one product of sides.
 *
 * @throws HintError INVALID_SHAPE when it is more than memory could hold
 */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  let isEmpty = false;
  for (const side of shape) {
    if (side === 0) isEmpty = true;
    else count *= side;
  }
  const most = isEmpty ? MOST_EMPTY_SIDES : MOST_ELEMENTS;
  if (!(count <= most)) {
    throw new HintError(
      'INVALID_SHAPE',
      `A tensor of shape ${describeShape(shape)} is too large: the product of its sides${isEmpty ? ' that are not 0' : ''} may be ${most} at most.`,
    );
  }
  return isEmpty ? 0 : count;
}

/**
 * A copy of what a caller gave as a shape, so that changing the array afterwards changes no tensor.
 *
 * @throws HintError INVALID_SHAPE when it is no array of at most 8 whole numbers of at least 0, or too large
 */
export function shapeOf(value: readonly number[]): number[] {
  if (!Array.isArray(value) || value.length > MOST_SIDES) {
    throw new HintError(
      'INVALID_SHAPE',
      `A shape must be an array of at most ${MOST_SIDES} whole numbers, not ${Array.isArray(value) ? `one of ${value.length}` : kindOf(value)}.`,
    );
  }
  const shape: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const side: unknown = value[i];
    if (!Number.isSafeInteger(side) || (side as number) < 0) {
      throw new HintError(
        'INVALID_SHAPE',
        `A tensor's sides must be whole numbers of at least 0; side ${i} is ${kindOf(side)}.`,
      );
    }
    shape.push(side as number);
  }
  elementCount(shape);
  return shape;
}

/** What a value is, for messages about wrong arguments. Runs nothing of it. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  if (typeof value === 'string') return value.length > 40 ? 'a long string' : JSON.stringify(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'another object' : `a ${typeof value}`;
}

/** @throws HintError INVALID_ARGUMENT naming the argument when it is no function */
export function functionOf<T>(value: T, name: string): T {
  if (typeof value === 'function') return value;
  throw new HintError('INVALID_ARGUMENT', `${name} must be a function, not ${kindOf(value)}.`);
}

/** @throws HintError INVALID_ARGUMENT naming the argument when it is no whole number from `least` on */
export function wholeNumber(value: unknown, name: string, least = 0): number {
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${name} must be a whole number of at least ${least}, not ${kindOf(value)}.`,
  );
}
