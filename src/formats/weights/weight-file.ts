import { HintError } from '../../util/errors.js';
import type { TensorInfo } from './dtypes.js';

/** The published forms of weights. */
export type WeightForm = 'safetensors' | 'torch' | 'flax' | 't5x';

/** An open checkpoint of any published form, or the files of a sharded one as if they were one. Close it when done. */
export interface WeightFile extends AsyncDisposable {
  /** The file or directory that was opened. */
  readonly path: string;
  /** How its weights are stored, as found in it. */
  readonly form: WeightForm;
  /** Every tensor by its Hugging Face name, without its values. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The free-form strings of the file (of all shards); only safetensors files have some. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Names whose tensors are the same bytes of the file as those of another name, which is given. */
  readonly aliases: ReadonlyMap<string, string>;
  /**
   * One tensor's bytes, little-endian and row-major, in a buffer of their own (byteOffset 0, so that any typed array
   * can view it). Only what holds that tensor is read.
   *
   * @throws HintError NOT_FOUND for an unknown name, IO or INVALID_CHECKPOINT if the file cannot be read or shrank, ABORTED
   */
  read(name: string, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * The same bytes in pieces of up to 2 MiB, in order. A piece's memory is that of the piece after the next. Where the
   * file holds the bytes as they are, the next piece is read while one is used; else the tensor is read first.
   */
  pieces(name: string, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  /**
   * Where the file that is open on `descriptor` holds a tensor's bytes; undefined where they do not lie in it as
   * {@link read} gives them: they are compressed, transposed or strided.
   *
   * @throws HintError NOT_FOUND for an unknown name
   */
  locate(name: string): { descriptor: number; position: number } | undefined;
  /** Closes what is open; nothing can be read afterwards. */
  close(): Promise<void>;
}

/** What {@link weightFile} makes a WeightFile of: how each tensor is read. */
export interface TensorReader extends TensorInfo {
  read(signal?: AbortSignal): Promise<Uint8Array>;
  /** Undefined: pieces of what {@link read} gives. */
  pieces?(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
  locate?(): { descriptor: number; position: number } | undefined;
}

const PIECE_BYTES = 2 * 1024 * 1024;

async function* cut(bytes: Promise<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const whole = await bytes;
  for (let begin = 0; begin < whole.length; begin += PIECE_BYTES)
    yield whole.subarray(begin, begin + PIECE_BYTES);
}

/** A WeightFile of tensors, each of which knows how it is read. */
export function weightFile(options: {
  path: string;
  form: WeightForm;
  tensors: ReadonlyMap<string, TensorReader>;
  metadata?: ReadonlyMap<string, string>;
  aliases?: ReadonlyMap<string, string>;
  close: () => Promise<void>;
}): WeightFile {
  const { path, form, tensors, close } = options;
  const find = (name: string): TensorReader => {
    const tensor = tensors.get(name);
    if (tensor) return tensor;
    throw new HintError(
      'NOT_FOUND',
      `${path} has no tensor ${JSON.stringify(name)}; list its tensors first.`,
    );
  };
  return {
    path,
    form,
    tensors,
    metadata: options.metadata ?? new Map(),
    aliases: options.aliases ?? new Map(),
    read: async (name, signal) => find(name).read(signal),
    pieces(name, signal) {
      const tensor = find(name);
      return tensor.pieces?.(signal) ?? cut(tensor.read(signal));
    },
    locate: (name) => find(name).locate?.(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The error of a file that is not what its form says, with the fault as half a sentence. */
export function invalidWeights(path: string, what: string, fault: string, cause?: unknown): HintError {
  return new HintError('INVALID_CHECKPOINT', `${path} is not a valid ${what}: ${fault}.`, { cause });
}
