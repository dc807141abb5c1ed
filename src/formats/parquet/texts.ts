import { HintError } from '../../util/errors.js';
import { checkBytes, limits } from '../../util/limits.js';
import type { Cell } from './column.js';
import { findGroup, readGroup, withMetadata } from './file.js';
import { findTextColumn } from './schema.js';

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
 * @throws HintError `NOT_FOUND`, `IO`, `INVALID_FILE` for a damaged file, `INVALID_DATA` naming the row without a text or
 *   the column that is missing or holds none, `LIMIT_EXCEEDED` for a row group that takes more than a record may
 */
export function readParquetRows(job: ParquetJob): Promise<ParquetRows> {
  const { file, column, row } = job;
  return withMetadata(file, async (handle, metadata, size) => {
    const element = findTextColumn(metadata.schema, file, column);
    const rows = Number(metadata.num_rows);
    const found = findGroup(metadata, row);
    if (!found) return { bytes: new Uint8Array(0), ends: new Int32Array(0), rows };
    const { group, number, begin } = found;
    const where = `${file}, row group ${number},`;
    const { readCells } = await import('./column.js');
    const cells = await readGroup(handle, { where, group, path: [element], size }, readCells);
    return { ...joined(cells.slice(row - begin), job), rows };
  });
}

function joined(cells: readonly Cell[], { file, column, row }: ParquetJob): Omit<ParquetRows, 'rows'> {
  const ends = new Int32Array(cells.length);
  const most = limits().bytes;
  let end = 0;
  for (const [i, cell] of cells.entries()) {
    if (!cell)
      throw new HintError(
        'INVALID_DATA',
        `${file}:${row + i + 1} has nothing in the column "${column}", not a text; set data.column to the one that holds the text.`,
      );
    // A text that many rows share lies in the file once.
    end += cell.length;
    if (end > most) checkBytes(file, `the texts of a row group up to row ${row + i + 1} have`, end);
    ends[i] = end;
  }
  const bytes = new Uint8Array(end);
  for (const [i, cell] of cells.entries()) bytes.set(cell as Uint8Array, ends[i - 1] ?? 0);
  return { bytes, ends };
}
