import { Tensor } from './tensor.js';

/**
 * The tensors in a value: itself, of an array or a map, of an object's own keys.
 *
 * @param seen what was looked into, so that a value that holds itself comes to an end; tensors are what was found
 */
export function tensorsIn(value: unknown, seen = new Set<unknown>()): ReadonlySet<unknown> {
  if (!value || typeof value !== 'object' || seen.has(value)) return seen;
  if (value instanceof Tensor) return seen.add(value);
  if (Array.isArray(value) || value instanceof Map) {
    seen.add(value);
    for (const part of value.values()) tensorsIn(part, seen);
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    seen.add(value);
    for (const key in value) tensorsIn((value as Record<string, unknown>)[key], seen);
  }
  return seen;
}
