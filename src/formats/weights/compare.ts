import type { WeightFile } from './weight-file.js';

/** A tensor of an open file. */
export interface Of {
  readonly file: WeightFile;
  readonly name: string;
}

/**
 * Whether two tensors have the same element type, shape and bits. Both are read piece by piece.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_CHECKPOINT, ABORTED
 */
export async function sameTensor(a: Of, b: Of, signal?: AbortSignal): Promise<boolean> {
  if (a.file === b.file && (a.name === b.name || a.file.aliases.get(a.name) === b.name)) return true;
  const [one, other] = [a.file.tensors.get(a.name), b.file.tensors.get(b.name)];
  if (one?.dtype !== other?.dtype || `${one?.shape}` !== `${other?.shape}`) return false;
  const others = b.file.pieces(b.name, signal);
  let rest: Uint8Array = new Uint8Array(0);
  try {
    for await (const piece of a.file.pieces(a.name, signal))
      for (let at = 0; at < piece.length;) {
        if (rest.length === 0) {
          const next = await others.next();
          if (next.done) return false;
          rest = next.value;
        }
        const length = Math.min(rest.length, piece.length - at);
        if (Buffer.compare(piece.subarray(at, at + length), rest.subarray(0, length)) !== 0) return false;
        at += length;
        rest = rest.subarray(length);
      }
    return true;
  } finally {
    await others.return();
  }
}
