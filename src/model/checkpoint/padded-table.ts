import { TABLE_MULTIPLE } from '../config/config-of-tensors.js';
import { parameterShapes } from '../parameters/parameter-shapes.js';
import type { ModelConfig } from '../config/config.js';
import { weightFile, type WeightFile } from '../../formats/weights/weight-file.js';

const TABLE = 'hypernetwork.embedding.weight';

/**
 * A file whose table of component embeddings has the rows that its model reads: those with which the original pads the table of a
 * hypernetwork with a decoder are no part of the function.
 */
export function withoutPadding(file: WeightFile, config: ModelConfig): WeightFile {
  if (config.hint?.generator !== 'decoder') return file;
  const stored = file.tensors.get(TABLE);
  const [rows = 0, columns] = parameterShapes(config).get(TABLE) ?? [];
  const padded = Math.ceil(rows / TABLE_MULTIPLE) * TABLE_MULTIPLE;
  if (rows === padded || stored?.shape[0] !== padded || stored.shape[1] !== columns) return file;
  const byteLength = (stored.byteLength / padded) * rows;
  const table = {
    ...stored,
    shape: [rows, columns as number],
    byteLength,
    read: async (signal?: AbortSignal) => (await file.read(TABLE, signal)).slice(0, byteLength),
    locate: () => file.locate(TABLE),
  };
  const readers = [...file.tensors].map(([name, info]) => [
    name,
    name === TABLE
      ? table
      : {
          ...info,
          read: (signal?: AbortSignal) => file.read(name, signal),
          pieces: (signal?: AbortSignal) => file.pieces(name, signal),
          locate: () => file.locate(name),
        },
  ] as const); // prettier-ignore
  return weightFile({
    path: file.path,
    form: file.form,
    tensors: new Map(readers),
    metadata: file.metadata,
    aliases: file.aliases,
    close: () => file.close(),
  });
}
