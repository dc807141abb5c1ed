import { sniLengths } from './lengths.js';
import type { LatencyOptions } from './latency-run.js';
import { randomTokens, uniforms } from './random-model.js';

/** Token ids of every measurement, the same for all systems. */
export interface Workload {
  readonly bare: readonly Int32Array[];
  readonly byShots: ReadonlyMap<
    number,
    { readonly instruction: Int32Array; readonly full: readonly Int32Array[] }
  >;
}

/** @returns the same ids for the same options */
export function workload(
  { shots, examples }: Pick<LatencyOptions, 'shots' | 'examples'>,
  vocabSize: number,
): Workload {
  const uniform = uniforms(2);
  const rows = (length: number): Int32Array[] =>
    Array.from({ length: examples }, () => randomTokens(uniform, length, vocabSize));
  return {
    bare: rows(sniLengths(0).input),
    byShots: new Map(
      shots.map((count) => {
        const { instruction, full } = sniLengths(count);
        return [count, { instruction: randomTokens(uniform, instruction, vocabSize), full: rows(full) }];
      }),
    ),
  };
}
