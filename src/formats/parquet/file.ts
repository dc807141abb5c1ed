import type { FileHandle } from 'node:fs/promises';
import type { FileMetaData, RowGroup, SchemaElement } from 'hyparquet';
import { HintError } from '../../util/errors.js';
import { openRegularFile } from '../../util/open-input.js';
import { readError } from '../../util/read-error.js';
import { checkBytes, withinSeconds } from '../../util/limits.js';
import type { ColumnChunk, Levels } from './pages.js';

const MAGIC = 'PAR1';
const TRAILER_BYTES = 8;
// Memory that a byte of metadata takes once it is parsed.
const METADATA_FACTOR = 16;

/** Opens a file, reads its metadata, and tells what goes wrong with it in a sentence. */
export async function withMetadata<T>(
  file: string,
  work: (handle: FileHandle, metadata: FileMetaData, size: number) => Promise<T>,
): Promise<T> {
  try {
    await using handle = await openRegularFile(file);
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
export function findGroup(
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

/** A column of a row group. */
export interface GroupToRead {
  where: string;
  group: RowGroup;
  /** From the table's column to the one that has the values. */
  path: readonly SchemaElement[];
  /** Bytes of the file. */
  size: number;
}

/**
 * What a column holds in one row group, by `read`.
 *
 * @throws HintError LIMIT_EXCEEDED; other errors for a damaged file
 */
export async function readGroup<T>(
  handle: FileHandle,
  { where, group, path, size }: GroupToRead,
  read: (chunk: ColumnChunk) => T[],
): Promise<T[]> {
  const names = path.map(({ name }) => name);
  const column = group.columns.find(
    ({ meta_data: data }) =>
      data?.path_in_schema.length === names.length &&
      data.path_in_schema.every((name, i) => name === names[i]),
  )?.meta_data;
  if (!column) throw new Error(`a row group lacks the column ${names.join('.')}`);
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
  return withinSeconds(where, () => read({ where, column, path, levels: levelsOf(path), bytes, rows }));
}

function levelsOf(path: readonly SchemaElement[]): Levels {
  const isThere = path.filter(({ repetition_type: type }) => type !== undefined && type !== 'REQUIRED');
  return {
    repetition: path.filter(({ repetition_type: type }) => type === 'REPEATED').length,
    definition: isThere.length,
  };
}

function unreadable(file: string, cause: NodeJS.ErrnoException): unknown {
  if (cause.code === 'ENOENT') return new HintError('NOT_FOUND', `No file ${file}; it was there when the corpus was listed.`, { cause }); // prettier-ignore
  if (cause.syscall !== undefined) return readError(file, cause);
  // What the library says of a footer without its parts is about its own code.
  const isOfCode = cause instanceof TypeError || cause instanceof RangeError;
  const reason = isOfCode ? 'parts of it are missing or damaged' : cause.message;
  return new HintError(
    'INVALID_FILE',
    `${file} cannot be read as parquet (${reason}); fetch or write it again.`,
    { cause },
  );
}
