import type { Arguments, Runtime, Value } from '../python/values.js';

/** A filter, with the value that it is applied to first. */
export type Filter = (value: Value, args: Arguments, runtime: Runtime) => Value;
