import { balanced } from '../distributed/shares.js';
import { allocatedBytes } from '../model/memory/kept-by-layers.js';
import { sizeOf } from '../model/modules/adaptations.js';
import { momentShapes } from '../tensor/moments.js';
import type { FloatDType } from '../tensor/ops.js';

/** Bytes that training holds from the first update on; they do not depend on the batch. */
export interface StateMemory {
  /** Bytes of all parameters in their own dtype, trained or not. */
  readonly parameters: number;
  /** Copies of matrices in the dtype of products, when parameters have another. */
  readonly copies: number;
  /** Gradients of the parameters that are trained, in f32. */
  readonly gradients: number;
  /** Bytes of what the optimizer keeps of the trained parameters' gradients; of several ranks, at the one that has most. */
  readonly moments: number;
  /** The sum of all parts above, in bytes. */
  readonly total: number;
}

/** The properties of a parameter that determine its memory. */
export interface ParameterMemory {
  readonly name: string;
  readonly shape: readonly number[];
  /** Its dtype between updates. */
  readonly dtype: FloatDType;
  readonly isTrained: boolean;
}

const BYTES = { f32: 4, bf16: 2 } as const;

/**
 * Bytes of parameters with their copies, gradients and the optimizer's moments.
 *
 * @param ranks processes that train together, each of which keeps the moments of its share of the parameters
 */
export function stateMemory(
  parameters: Iterable<ParameterMemory>,
  computeDtype: FloatDType,
  optimizer: 'adafactor' | 'adamw',
  ranks = 1,
): StateMemory {
  const bytes = { parameters: 0, copies: 0, gradients: 0 };
  const trained: { readonly own: number; readonly moments: number }[] = [];
  for (const { name, shape, dtype, isTrained } of parameters) {
    const size = sizeOf(shape);
    bytes.parameters += allocatedBytes(size * BYTES[dtype]);
    if (dtype !== computeDtype && isCopied(name, shape))
      bytes.copies += allocatedBytes(size * BYTES[computeDtype]);
    if (!isTrained) continue;
    bytes.gradients += allocatedBytes(size * BYTES.f32);
    const each = Object.values(momentShapes(optimizer, shape));
    const moments = each.reduce((sum, moment) => sum + allocatedBytes(sizeOf(moment) * BYTES.f32), 0);
    trained.push({ own: size * BYTES[dtype], moments });
  }
  const moments = mostMoments(trained, ranks);
  return { ...bytes, moments, total: bytes.parameters + bytes.copies + bytes.gradients + moments };
}

function mostMoments(trained: readonly { own: number; moments: number }[], ranks: number): number {
  const held = new Array<number>(ranks).fill(0);
  const owners = balanced(
    trained.map(({ own }) => own),
    ranks,
  );
  for (const [i, { moments }] of trained.entries()) held[owners[i]!]! += moments;
  return Math.max(...held);
}

/** Tables that are read by rows in their own dtype, so that no copy of them is made. */
const READ_BY_ROW = new Set(['shared.weight', 'positions.weight', 'hypernetwork.embedding.weight']);

function isCopied(name: string, shape: readonly number[]): boolean {
  return shape.length >= 2 && !READ_BY_ROW.has(name);
}
