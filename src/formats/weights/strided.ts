import { throwIfAborted } from '../../util/errors.js';
import { createYielder } from '../../util/event-loop-lag.js';
import { allocate, type ByteFile } from './byte-file.js';

/** How the elements of a tensor lie in a stretch of bytes: element (i, j, …) at `offset + i * strides[0] + j * strides[1] + …`. */
export interface Layout {
  /** Of one element. */
  readonly elementBytes: number;
  readonly shape: readonly number[];
  /** In elements; none is negative. */
  readonly strides: readonly number[];
  /** Of the first element, in elements. */
  readonly offset: number;
}

/** Strides of a shape in row-major order. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--)
    strides[i] = (strides[i + 1] as number) * Math.max(1, shape[i + 1] as number);
  return strides;
}

/** Whether the elements lie in row-major order without gaps. */
export function isContiguous({ shape, strides }: Pick<Layout, 'shape' | 'strides'>): boolean {
  const plain = rowMajor(shape);
  return shape.includes(0) || shape.every((size, i) => size === 1 || strides[i] === plain[i]);
}

/** One axis of a copy. */
interface Axis {
  readonly size: number;
  readonly from: number;
  readonly to: number;
}

/** Axes of more than one element, the one that steps furthest through the source first. */
function axesOf(shape: readonly number[], from: readonly number[], to: readonly number[]): Axis[] {
  return shape
    .map((size, i) => ({ size, from: from[i] as number, to: to[i] as number }))
    .filter(({ size }) => size !== 1)
    .sort((a, b) => b.from - a.from);
}

/** Elements from the first that is read to the last, both included. */
function spanOf(axes: readonly Axis[]): number {
  return axes.reduce((span, { size, from }) => span + (size - 1) * from, 1);
}

/**
 * Whether no two elements are in the same place, leaving out axes of stride 0, which repeat what they hold: as the views
 * have that programs save.
 */
export function isDisjoint({ shape, strides }: Pick<Layout, 'shape' | 'strides'>): boolean {
  if (shape.includes(0)) return true;
  const axes = axesOf(shape, strides, strides).filter(({ from }) => from > 0);
  return axes.every((axis, i) => axis.from >= spanOf(axes.slice(i + 1)));
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** `bytes` as words of one element each; those of 8 bytes are two words, so that no bit pattern of a NaN is touched. */
function wordsOf(bytes: Uint8Array, wordBytes: number): Words {
  const { buffer, byteOffset, length } = bytes;
  if (wordBytes === 1) return bytes;
  if (wordBytes === 2) return new Uint16Array(buffer, byteOffset, length / 2);
  return new Uint32Array(buffer, byteOffset, length / 4);
}

/** The layout in words of at most 4 bytes. */
function inWords(layout: Layout, to: readonly number[]): { wordBytes: number; axes: Axis[] } {
  const wordBytes = Math.min(4, layout.elementBytes);
  const parts = layout.elementBytes / wordBytes;
  const scaled = (strides: readonly number[]): number[] => [...strides.map((stride) => stride * parts), 1];
  return { wordBytes, axes: axesOf([...layout.shape, parts], scaled(layout.strides), scaled(to)) };
}

function copyAxes(
  source: Words,
  from: number,
  target: Words,
  to: number,
  axes: readonly Axis[],
  level: number,
): void {
  const axis = axes[level];
  if (axis === undefined) {
    target[to] = source[from] as number;
    return;
  }
  if (level === axes.length - 1) {
    if (axis.from === 1 && axis.to === 1) {
      target.set(source.subarray(from, from + axis.size), to);
      return;
    }
    for (let i = 0, s = from, t = to; i < axis.size; i++, s += axis.from, t += axis.to)
      target[t] = source[s] as number;
    return;
  }
  for (let i = 0; i < axis.size; i++)
    copyAxes(source, from + i * axis.from, target, to + i * axis.to, axes, level + 1);
}

/**
 * Copies elements between stretches of memory that lie as their element needs it: from `from.offset` with `from.strides`
 * of `source`, to `to.offset` with `to.strides` of `target`.
 */
export function copyStrided(
  source: Uint8Array,
  from: Layout,
  target: Uint8Array,
  to: { readonly strides: readonly number[]; readonly offset: number },
): void {
  if (from.shape.includes(0)) return;
  const { wordBytes, axes } = inWords(from, to.strides);
  const parts = from.elementBytes / wordBytes;
  copyAxes(
    wordsOf(source, wordBytes),
    from.offset * parts,
    wordsOf(target, wordBytes),
    to.offset * parts,
    axes,
    0,
  );
}

// Read at a time of a tensor whose elements do not lie in their order.
const BLOCK_BYTES = 4 * 1024 * 1024;

/**
 * Reads a tensor whose elements lie anyhow, as row-major bytes. Beside the tensor, memory for one block is taken.
 *
 * @param source gives ranges of the bytes in which the layout counts
 * @param layout disjoint, as {@link isDisjoint} says, and within the bytes: no byte is read twice
 */
export async function readStrided(
  source: { readonly path: string; readInto: ByteFile['readInto'] },
  position: number,
  layout: Layout,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const count = layout.shape.reduce((product, size) => product * size, 1);
  const target = allocate(count * layout.elementBytes, source.path);
  if (count === 0) return target;
  const { wordBytes, axes } = inWords(layout, rowMajor(layout.shape));
  const words = wordsOf(target, wordBytes);
  const block = allocate(Math.min(BLOCK_BYTES, spanOf(axes) * wordBytes), source.path);
  const blockWords = wordsOf(block, wordBytes);
  const breathe = createYielder();
  const copy = async (from: number, to: number, level: number): Promise<void> => {
    const axis = axes[level];
    const inner = spanOf(axes.slice(level + 1));
    if (axis !== undefined && inner * wordBytes > BLOCK_BYTES) {
      for (let i = 0; i < axis.size; i++) await copy(from + i * axis.from, to + i * axis.to, level + 1);
      return;
    }
    const step = axis?.from ?? 0;
    const size = axis?.size ?? 1;
    const most = step === 0 ? size : Math.max(1, Math.floor((BLOCK_BYTES / wordBytes - inner) / step) + 1);
    for (let i = 0; i < size; i += most) {
      throwIfAborted(signal);
      const taken = Math.min(most, size - i);
      const span = (taken - 1) * step + inner;
      await source.readInto(
        block.subarray(0, span * wordBytes),
        position + (from + i * step) * wordBytes,
        signal,
      );
      const some = axis ? [{ ...axis, size: taken }, ...axes.slice(level + 1)] : [];
      copyAxes(blockWords, 0, words, to + i * (axis?.to ?? 0), some, 0);
      await breathe();
    }
  };
  await copy((layout.offset * layout.elementBytes) / wordBytes, 0, 0);
  return target;
}
