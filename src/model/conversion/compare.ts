import { throwIfAborted } from '../../util/errors.js';
import { sameTensor } from '../../formats/weights/compare.js';
import type { WeightFile } from '../../formats/weights/weight-file.js';

/** How a tensor of a checkpoint fared in a conversion. */
export interface ComparedTensor {
  /** Its key in the source. */
  readonly name: string;
  /** Type of its values in the source. */
  readonly dtype: string;
  /** Sides in the source, outermost first. */
  readonly shape: readonly number[];
  /** Size of its values in the source. */
  readonly bytes: number;
  /** `same`: dtype, shape and every bit; `left-out`: not stored, on purpose. */
  readonly outcome: 'same' | 'differs' | 'missing' | 'left-out' | 'added';
  /** A sentence about what differs, where something does. */
  readonly detail?: string;
}

/**
 * Compares the tensors of two checkpoints bit for bit.
 *
 * @param leftOut names that the second need not have, with the reason
 * @throws HintError IO, INVALID_CHECKPOINT, ABORTED
 */
export async function compareTensors(
  source: WeightFile,
  destination: WeightFile,
  leftOut: ReadonlyMap<string, string>,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: ((done: number, total: number) => void) | undefined } = {}, // prettier-ignore
): Promise<ComparedTensor[]> {
  const rows: ComparedTensor[] = [];
  const total = source.tensors.size;
  for (const { name, dtype, shape, byteLength: bytes } of source.tensors.values()) {
    throwIfAborted(signal);
    const row = { name, dtype, shape, bytes };
    const held = destination.tensors.get(name);
    const reason = leftOut.get(name);
    if (held === undefined && reason !== undefined)
      rows.push({ ...row, outcome: 'left-out', detail: reason });
    else if (held === undefined) rows.push({ ...row, outcome: 'missing' });
    else {
      const isSame = await sameTensor({ file: source, name }, { file: destination, name }, signal);
      const other = `${held.dtype} [${held.shape.join(', ')}]`;
      const detail = other === `${dtype} [${shape.join(', ')}]` ? {} : { detail: `is ${other}` };
      rows.push({ ...row, outcome: isSame ? 'same' : 'differs', ...detail });
    }
    onProgress?.(rows.length, total);
  }
  for (const { name, dtype, shape, byteLength: bytes } of destination.tensors.values())
    if (!source.tensors.has(name)) rows.push({ name, dtype, shape, bytes, outcome: 'added' });
  return rows;
}

/** Whether a comparison found nothing that is not as it should be. */
export function isFaithful(rows: readonly ComparedTensor[]): boolean {
  return rows.every(({ outcome }) => outcome === 'same' || outcome === 'left-out');
}
