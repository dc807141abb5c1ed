import type { ColumnMetaData, SchemaElement } from 'hyparquet';
import { compressors, decompressZstd } from 'hyparquet-compressors';
import { parquetHeader, readPage } from 'hyparquet/src/column.js';
import { checkBytesSoFar } from '../../util/limits.js';

export type Reader = Parameters<typeof parquetHeader>[0];
export type Header = ReturnType<typeof parquetHeader>;
export type Decoder = Parameters<typeof readPage>[2];

/** A column chunk: the pages of one column in one row group, as they lie in the file. */
export interface ColumnChunk {
  /** Names file and row group in errors. */
  where: string;
  column: ColumnMetaData;
  /** From the table's column to the one inside it that has the values; one element where they are the same. */
  path: readonly SchemaElement[];
  levels: Levels;
  /** The bytes of its pages. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Rows of the row group. */
  rows: number;
}

/** The highest numbers that a value of a column may be stored with. */
export interface Levels {
  /** How many lists it is in. */
  readonly repetition: number;
  /** How many of its path are there that need not be: a smaller number is that of a null or an empty list. */
  readonly definition: number;
}

/** A page with its values unpacked. */
export interface Page {
  readonly header: Header;
  readonly bytes: Uint8Array;
}

/** The pages of a chunk, one after the other, for as long as the caller asks. @throws HintError LIMIT_EXCEEDED; other errors for damaged pages */
export function* pagesOf({ where, bytes, column }: ColumnChunk): Generator<Page, void, undefined> {
  const reader: Reader = { view: viewOf(bytes), offset: 0 };
  let unpacked = 0;
  while (reader.offset < bytes.length) {
    const header = parquetHeader(reader);
    const stored = take(reader, header.compressed_page_size, bytes);
    unpacked += header.uncompressed_page_size;
    checkBytesSoFar(where, 'its pages unpack to', unpacked);
    const page = unpackPage(stored, header, column);
    const plain = { ...header, compressed_page_size: page.length, uncompressed_page_size: page.length };
    if (header.data_page_header_v2) plain.data_page_header_v2 = { ...header.data_page_header_v2, is_compressed: false }; // prettier-ignore
    yield { header: plain, bytes: page };
  }
}

/** Without what values stand for, so that they stay the bytes they are. */
export function decoderOf({ column, path }: ColumnChunk): Decoder {
  const bare = path.map(({ name, repetition_type }) => ({ name, type: 'BYTE_ARRAY', repetition_type }));
  const schemaPath = [{ name: 'schema' }, ...bare].map((element) => ({ element }));
  return { ...column, element: bare.at(-1), type: 'BYTE_ARRAY', schemaPath, codec: 'UNCOMPRESSED', utf8: false } as unknown as Decoder; // prettier-ignore
}

/** The values that pages of indices stand for. */
export function readDictionary({ header, bytes }: Page, decoder: Decoder): Uint8Array[] {
  const { data } = readPage({ view: viewOf(bytes), offset: 0 }, header, decoder, undefined, undefined, 0);
  return data as Uint8Array[];
}

export function viewOf(bytes: Uint8Array): DataView<ArrayBuffer> {
  return new DataView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

function take(reader: Reader, size: number, bytes: Uint8Array): Uint8Array {
  if (!(size >= 0 && size <= bytes.length - reader.offset)) throw new Error(`a page claims ${size} bytes`);
  reader.offset += size;
  return bytes.subarray(reader.offset - size, reader.offset);
}

/** The page with its values unpacked. The levels of a page of version 2 stand in front of them, never packed. */
function unpackPage(stored: Uint8Array, header: Header, { codec }: ColumnMetaData): Uint8Array {
  const v2 = header.data_page_header_v2;
  const levels = v2 ? v2.repetition_levels_byte_length + v2.definition_levels_byte_length : 0;
  if (!(levels >= 0 && levels <= stored.length)) throw new Error(`a page claims ${levels} bytes of levels`);
  const size = header.uncompressed_page_size - levels;
  if (!(size >= 0)) throw new Error(`a page claims ${size} bytes of values`);
  const packed = stored.subarray(levels);
  if (codec === 'UNCOMPRESSED' || v2?.is_compressed === false) return stored;
  const values = unpack(packed, codec, size);
  if (values.length !== size) throw new Error(`a page unpacks to ${values.length} bytes instead of ${size}`);
  return levels > 0 ? Buffer.concat([stored.subarray(0, levels), values]) : values;
}

function unpack(packed: Uint8Array, codec: ColumnMetaData['codec'], size: number): Uint8Array {
  if (size === 0) return new Uint8Array(0);
  // Given no room, this one takes as much as its input claims.
  if (codec === 'ZSTD') return decompressZstd(packed, new Uint8Array(size));
  const unpacker = compressors[codec];
  if (!unpacker) throw new Error(`the compression ${codec} is unknown`);
  return unpacker(packed, size);
}
