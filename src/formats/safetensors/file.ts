import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { checked, path as pathKind } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { readError } from '../../util/read-error.js';
import { ByteFile } from '../weights/byte-file.js';
import { openSharded } from '../weights/shards.js';
import { weightFile, type TensorReader, type WeightFile } from '../weights/weight-file.js';
import { invalidSafetensors, MAX_HEADER_BYTES, parseHeader, type SafetensorsHeader } from './header.js';

export type { SafetensorsDType, TensorInfo } from '../weights/dtypes.js';
export {
  int8ToBfloat16,
  toBfloat16,
  toBfloat16InPieces,
  toFloat32,
  toFloat32InPieces,
  toInt8InPieces,
} from './floats.js';
export { writeSafetensors, type TensorToWrite } from './writer.js';

const LENGTH_BYTES = 8;

/** An open safetensors file, or the files of a sharded checkpoint as if they were one. Close it when done. */
export type SafetensorsFile = WeightFile;

async function readHeader(file: ByteFile): Promise<{ header: SafetensorsHeader; dataStart: number }> {
  const { path, size } = file;
  if (size < LENGTH_BYTES)
    throw invalidSafetensors(path, `it has ${size} bytes, the smallest has ${LENGTH_BYTES}`);
  const prefix = await file.read(0, LENGTH_BYTES);
  const declared = new DataView(prefix.buffer).getBigUint64(0, true);
  if (declared > BigInt(MAX_HEADER_BYTES)) {
    throw invalidSafetensors(
      path,
      `it declares a header of ${declared} bytes, the limit is ${MAX_HEADER_BYTES}`,
    );
  }
  const headerBytes = Number(declared);
  const dataStart = LENGTH_BYTES + headerBytes;
  if (dataStart > size) {
    throw invalidSafetensors(
      path,
      `it declares a header of ${headerBytes} bytes but has only ${size - LENGTH_BYTES} more; the file is truncated`,
    );
  }
  const bytes = await file.read(LENGTH_BYTES, headerBytes);
  return { header: parseHeader(path, bytes, size - dataStart), dataStart };
}

/** @throws HintError as {@link openSafetensors} */
export async function openSafetensorsFile(path: string): Promise<SafetensorsFile> {
  const file = await ByteFile.open(path, (fault) => invalidSafetensors(path, fault));
  try {
    const { header, dataStart } = await readHeader(file);
    const tensors = header.tensors.map(({ begin, ...info }): [string, TensorReader] => {
      const position = dataStart + begin;
      return [
        info.name,
        {
          ...info,
          read: (signal) => file.read(position, info.byteLength, signal),
          pieces: (signal) => file.pieces(position, position + info.byteLength, signal),
          locate: () => ({ descriptor: file.descriptor, position }),
        },
      ];
    });
    return weightFile({
      path,
      form: 'safetensors',
      tensors: new Map(tensors),
      metadata: header.metadata,
      close: () => file.close(),
    });
  } catch (error) {
    await file.close();
    throw readError(path, error);
  }
}

/** Opens the shards of a `*.safetensors.index.json`. @throws HintError as {@link openSafetensors} */
export function openSafetensorsShards(path: string): Promise<SafetensorsFile> {
  return openSharded(path, { form: 'safetensors', ending: '.safetensors', open: openSafetensorsFile });
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() ?? false;
}

/**
 * Opens a safetensors file, a sharded checkpoint's `*.index.json`, or a directory holding `model.safetensors` or
 * `model.safetensors.index.json` (the Hugging Face layout). Headers are read and checked completely; values are read
 * on demand, so a checkpoint may be larger than memory.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON or INVALID_CHECKPOINT saying what is wrong with which file
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  checked(pathKind, path, 'path');
  const status = await stat(path).catch((cause: unknown) => {
    throw readError(path, cause);
  });
  if (!status.isDirectory()) {
    return basename(path).endsWith('.index.json') ? openSafetensorsShards(path) : openSafetensorsFile(path);
  }
  const single = join(path, 'model.safetensors');
  if (await isFile(single)) return openSafetensorsFile(single);
  const index = join(path, 'model.safetensors.index.json');
  if (await isFile(index)) return openSafetensorsShards(index);
  throw new HintError(
    'NOT_FOUND',
    `${path} holds neither model.safetensors nor model.safetensors.index.json; convert the checkpoint to safetensors.`,
  );
}
