import { open, type FileHandle } from 'node:fs/promises';
import type { FileMetaData, RowGroup, SchemaElement } from 'hyparquet';
import { HintError } from '../../util/errors.js';
import { readError } from '../../util/read-error.js';
import { checkBytes, limits, withinSeconds } from '../../util/limits.js';
import type { Cell } from './column.js';
import { findTextColumn, topColumns, type TopColumn } from './schema.js';

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

const MAGIC = 'PAR1';
const TRAILER_BYTES = 8;
// Memory that a byte of metadata takes once it is parsed.
const METADATA_FACTOR = 16;

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
    const cells = await readGroup(handle, { where, group, element, size });
    return { ...joined(cells.slice(row - begin), job), rows };
  });
}

/** Texts of some columns of consecutive rows. */
export interface ParquetTable {
  /** Per row and column the bytes, or nothing where there is no value. */
  cells: Cell[][];
  /** Rows of the whole file. */
  rows: number;
}

/** The columns of a file's table. @throws HintError as {@link readParquetRows} */
export function readParquetColumns(file: string): Promise<TopColumn[]> {
  return withMetadata(file, async (_, { schema }) => topColumns(schema));
}

/**
 * Some columns of texts from a row to the end of its row group; rows may lack a value.
 *
 * @throws HintError as {@link readParquetRows}
 */
export function readParquetTable(
  file: string,
  columns: readonly string[],
  row: number,
): Promise<ParquetTable> {
  return withMetadata(file, async (handle, metadata, size) => {
    const rows = Number(metadata.num_rows);
    const found = findGroup(metadata, row);
    if (!found) return { cells: [], rows };
    const { group, number, begin } = found;
    const where = `${file}, row group ${number},`;
    const cells: Cell[][] = [];
    for (const column of columns) {
      const element = findTextColumn(metadata.schema, file, column);
      const read = await readGroup(handle, { where, group, element, size });
      for (const [i, cell] of read.slice(row - begin).entries()) (cells[i] ??= []).push(cell);
    }
    return { cells, rows };
  });
}

/** Opens a file, reads its metadata, and tells what goes wrong with it in a sentence. */
async function withMetadata<T>(
  file: string,
  work: (handle: FileHandle, metadata: FileMetaData, size: number) => Promise<T>,
): Promise<T> {
  try {
    await using handle = await open(file, 'r');
    const { size } = await handle.stat();
    return await work(handle, await readMetadata(handle, file, size), size);
  } catch (cause) {
    if (cause instanceof HintError) throw cause;
    throw unreadable(file, cause as NodeJS.ErrnoException);
  }
}

async function readMetadata(handle: FileHandle, file: string, size: number): Promise<FileMetaData> {
  if (size < TRAILER_BYTES) throw new Error(`it has ${size} bytes`);
  const trailer = await readAt(handle, size - TRAILER_BYTES, TRAILER_BYTES);
  if (Buffer.from(trailer).toString('latin1', 4) !== MAGIC) throw new Error(`it does not end with ${MAGIC}`);
  const length = new DataView(trailer.buffer).getUint32(0, true);
  if (length > size - TRAILER_BYTES) throw new Error(`its metadata claim ${length} bytes`);
  checkBytes(file, 'its metadata have', length, METADATA_FACTOR);
  const bytes = await readAt(handle, size - TRAILER_BYTES - length, length + TRAILER_BYTES);
  // Read in with the first table: together with its codecs it has 42 modules.
  const { parquetMetadata } = await import('hyparquet');
  // Places of shapes on the globe are none of ours.
  return withinSeconds(file, () => parquetMetadata(bytes.buffer, { geoparquet: false }));
}

async function readAt(
  handle: FileHandle,
  position: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await handle.read(bytes, at, length - at, position + at);
    if (bytesRead === 0) throw new Error(`it ends at byte ${position + at}, ${length - at} bytes too early`);
    at += bytesRead;
  }
  return bytes;
}

/** The row group that holds a row, and the row it begins with. */
function findGroup(
  { row_groups: groups }: FileMetaData,
  row: number,
): { group: RowGroup; number: number; begin: number } | undefined {
  let begin = 0;
  for (const [i, group] of groups.entries()) {
    const end = begin + Number(group.num_rows);
    if (end > row) return { group, number: i + 1, begin };
    begin = end;
  }
  return undefined;
}

interface GroupToRead {
  where: string;
  group: RowGroup;
  element: SchemaElement;
  /** Bytes of the file. */
  size: number;
}

async function readGroup(handle: FileHandle, { where, group, element, size }: GroupToRead): Promise<Cell[]> {
  const column = group.columns.find(
    ({ meta_data }) => meta_data?.path_in_schema.length === 1 && meta_data.path_in_schema[0] === element.name,
  )?.meta_data;
  if (!column) throw new Error(`a row group lacks the column ${element.name}`);
  const rows = Number(group.num_rows);
  const pages = Number(column.data_page_offset);
  const first = column.dictionary_page_offset
    ? Math.min(Number(column.dictionary_page_offset), pages)
    : pages;
  const length = Number(column.total_compressed_size);
  if (!(first >= 0 && length >= 0 && first + length <= size))
    throw new Error(`a row group claims bytes ${first} to ${first + length} of ${size}`);
  checkBytes(where, 'it has', length);
  checkBytes(where, 'it claims to unpack to', Number(column.total_uncompressed_size));
  const bytes = await readAt(handle, first, length);
  const { readCells } = await import('./column.js');
  return withinSeconds(where, () => readCells({ where, column, element, bytes, rows }));
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

function unreadable(file: string, cause: NodeJS.ErrnoException): unknown {
  if (cause.code === 'ENOENT') return new HintError('NOT_FOUND', `No file ${file}; it was there when the corpus was listed.`, { cause }); // prettier-ignore
  if (cause.syscall !== undefined) return readError(file, cause);
  return new HintError(
    'INVALID_FILE',
    `${file} cannot be read as parquet (${cause.message}); fetch or write it again.`,
    { cause },
  );
}
