import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, type FileMetaData } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { HintError } from '../../errors.js';

/** A request for the rest of a row group. */
export interface ParquetJob {
  file: string;
  column: string;
  /** The first row wanted, counted from 0. */
  row: number;
}

/** Texts of consecutive rows. */
export interface ParquetRows {
  /** UTF-8, texts end to end. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Per row where its text ends in `bytes`. */
  ends: Int32Array<ArrayBuffer>;
  /** Rows of the whole file. */
  rows: number;
}

/**
 * The texts from a row to the end of its row group: what is decoded at once, and all of it that is held. Done in a
 * worker thread, since decompression and decoding are synchronous.
 *
 * @throws HintError `INVALID_FILE` for a damaged file, `INVALID_DATA` naming the row without a text or the missing column
 */
export async function readParquetRows({ file, column, row }: ParquetJob): Promise<ParquetRows> {
  const buffer = await readable(file, () => asyncBufferFromFile(file));
  const metadata = await readable(file, () => parquetMetadataAsync(buffer));
  const rows = Number(metadata.num_rows);
  const columns = metadata.schema.slice(1).map(({ name }) => name);
  if (!columns.includes(column))
    throw new HintError(
      'INVALID_DATA',
      `${file} has no column "${column}" (it has ${columns.join(', ')}); set data.column to the one that holds the text.`,
    );
  const rowEnd = endOfGroup(metadata, row);
  const objects =
    row < rowEnd
      ? await readable(file, () =>
          parquetReadObjects({
            file: buffer,
            metadata,
            columns: [column],
            rowStart: row,
            rowEnd,
            compressors,
          }),
        )
      : [];
  const encoder = new TextEncoder();
  const texts = objects.map((object, i) => {
    const text: unknown = object[column];
    if (typeof text === 'string') return encoder.encode(text);
    throw new HintError(
      'INVALID_DATA',
      `${file}:${row + i + 1} has ${JSON.stringify(text) ?? 'nothing'} in the column "${column}", not a text; set data.column to the one that holds the text.`,
    );
  });
  const ends = new Int32Array(texts.length);
  texts.reduce((sum, text, i) => (ends[i] = sum + text.length), 0);
  const bytes = new Uint8Array(ends.at(-1) ?? 0);
  texts.forEach((text, i) => bytes.set(text, ends[i - 1] ?? 0));
  return { bytes, ends, rows };
}

function endOfGroup({ row_groups: groups }: FileMetaData, row: number): number {
  let end = 0;
  for (const group of groups) {
    end += Number(group.num_rows);
    if (end > row) break;
  }
  return end;
}

async function readable<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new HintError(
      'INVALID_FILE',
      `${file} cannot be read as parquet (${(cause as Error).message}); fetch or write it again.`,
      { cause },
    );
  }
}
