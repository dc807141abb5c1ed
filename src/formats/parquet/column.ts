import type { ColumnMetaData, SchemaElement } from 'hyparquet';
import { compressors, decompressZstd } from 'hyparquet-compressors';
import { parquetHeader, readPage } from 'hyparquet/src/column.js';
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { checkBytes, limits, VALUE_BYTES } from '../../util/limits.js';

type Reader = Parameters<typeof parquetHeader>[0];
type Header = ReturnType<typeof parquetHeader>;
type Decoder = Parameters<typeof readPage>[2];

/** A column chunk: the pages of one column in one row group, as they lie in the file. */
export interface ColumnChunk {
  /** Names file and row group in errors. */
  where: string;
  column: ColumnMetaData;
  element: SchemaElement;
  /** The bytes of its pages. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Rows of the row group. */
  rows: number;
}

/** A row's bytes; nothing where the row has no value. */
export type Cell = Uint8Array | null | undefined;

// Encoders fill up the last run of packed values; the longest known adds 63 groups of eight.
const MOST_PADDING = 512;
const ENCODINGS = new Set(['PLAIN', 'PLAIN_DICTIONARY', 'RLE_DICTIONARY', 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY']); // prettier-ignore

/**
 * The rows of a flat column of byte arrays. hyparquet decodes each page, but trusts what pages claim: a run of a few bytes
 * may claim billions of values, a page gigabytes. So each claim is held against the rows of the group and the limit of
 * memory before it is decoded.
 *
 * @throws HintError LIMIT_EXCEEDED; other errors for damaged pages
 */
export function readCells(chunk: ColumnChunk): Cell[] {
  const { where, bytes, column, element, rows } = chunk;
  checkBytes(where, `its ${rows} rows take about`, rows * VALUE_BYTES);
  // Without what it stands for, values stay the bytes they are.
  const bare = { name: element.name, type: 'BYTE_ARRAY', repetition_type: element.repetition_type } as const;
  const schemaPath = [{ element: { name: 'schema' } }, { element: bare }];
  const decoder = { ...column, element: bare, type: 'BYTE_ARRAY', schemaPath, codec: 'UNCOMPRESSED', utf8: false } as unknown as Decoder; // prettier-ignore
  const reader: Reader = { view: viewOf(bytes), offset: 0 };
  const cells: Cell[] = [];
  let unpacked = 0;
  let dictionary: Uint8Array[] | undefined;
  while (cells.length < rows && reader.offset < bytes.length) {
    const header = parquetHeader(reader);
    const stored = take(reader, header.compressed_page_size, bytes);
    unpacked += header.uncompressed_page_size;
    checkBytes(where, 'its pages unpack to at least', unpacked);
    const page = unpackPage(stored, header, column);
    const plain = { ...header, compressed_page_size: page.length, uncompressed_page_size: page.length };
    if (header.data_page_header_v2) plain.data_page_header_v2 = { ...header.data_page_header_v2, is_compressed: false }; // prettier-ignore
    checkPage(chunk, header, page, rows - cells.length);
    const { data = [] } = readPage(
      { view: viewOf(page), offset: 0 },
      plain,
      decoder,
      dictionary,
      undefined,
      0,
    );
    if (header.type === 'DICTIONARY_PAGE') dictionary = data as Uint8Array[];
    else for (const cell of data as Cell[]) cells.push(cell);
  }
  if (cells.length !== rows) throw new Error(`a row group claims ${rows} rows and has ${cells.length}`);
  return cells;
}

function viewOf(bytes: Uint8Array): DataView<ArrayBuffer> {
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

/** Holds what a page claims against its bytes and the rows that are still missing. */
function checkPage({ where, element }: ColumnChunk, header: Header, page: Uint8Array, rows: number): void {
  const { dictionary_page_header: dictionary, data_page_header: v1, data_page_header_v2: v2 } = header;
  const reader: Reader = { view: viewOf(page), offset: 0 };
  if (header.type === 'DICTIONARY_PAGE') {
    // Each entry has four bytes of length.
    checkCount(dictionary?.num_values, page.length / 4);
    return;
  }
  const data = v1 ?? v2;
  if (!data || !ENCODINGS.has(data.encoding)) throw new Error(`the encoding ${data?.encoding} holds no text`);
  checkCount(data.num_values, rows);
  const isOptional = element.repetition_type === 'OPTIONAL';
  if (v2) {
    if (v2.repetition_levels_byte_length !== 0) throw new Error('its rows are lists');
    checkCount(v2.num_nulls, v2.num_values);
    const end = v2.definition_levels_byte_length;
    if (isOptional) checkRuns(reader, 1, v2.num_values, end);
    reader.offset = end;
  } else if (isOptional) {
    const length = reader.view.getUint32(0, true);
    reader.offset = 4;
    checkRuns(reader, 1, data.num_values, Math.min(page.length, 4 + length));
    reader.offset = 4 + length;
  }
  if (data.encoding.endsWith('_DICTIONARY')) {
    const width = reader.view.getUint8(reader.offset++);
    const nulls = v2?.num_nulls;
    // A page of nulls has no indices.
    if (width > 0 && reader.offset < page.length)
      checkRuns(reader, width, data.num_values - (nulls ?? 0), page.length);
  } else if (data.encoding === 'DELTA_BYTE_ARRAY') {
    checkPrefixes(where, reader, v2 ? data.num_values - v2.num_nulls : undefined, data.num_values);
  }
}

function checkCount(count: number | undefined, most: number): void {
  if (!(count !== undefined && count >= 0 && count <= most))
    throw new Error(`a page claims ${count} values where ${Math.floor(most)} can be`);
}

/** Walks over runs of repeated and packed values without decoding them. */
function checkRuns(reader: Reader, width: number, count: number, end: number): void {
  if (width > 32) throw new Error(`a page has indices of ${width} bits`);
  for (let seen = 0; seen < count && reader.offset < end;) {
    const header = readVarint(reader);
    const length = header & 1 ? 8 * (header >>> 1) : header >>> 1;
    if (length > count - seen + MOST_PADDING || (length > count - seen && (header & 1) === 0))
      throw new Error(`a run claims ${length} values where ${count - seen} can be`);
    seen += length;
    reader.offset += header & 1 ? (length / 8) * width : (width + 7) >> 3;
  }
}

function readVarint(reader: Reader): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.view.getUint8(reader.offset++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value >>> 0;
  }
  throw new Error('a number has more than five bytes');
}

/** Each value says how much it begins like the one before: a few bytes may stand for gigabytes. */
function checkPrefixes(where: string, reader: Reader, values: number | undefined, most: number): void {
  // Where nulls are not counted, the encoding says how many values there are.
  const count = values ?? countOf(reader);
  checkCount(count, most);
  if (count === 0) return;
  const [prefixes, suffixes] = [new Int32Array(count), new Int32Array(count)];
  deltaBinaryUnpack(reader, count, prefixes);
  deltaBinaryUnpack(reader, count, suffixes);
  let total = 0;
  for (let i = 0, before = 0; i < count; i++) {
    const [prefix, suffix] = [prefixes[i] as number, suffixes[i] as number];
    if (prefix < 0 || prefix > before || suffix < 0) throw new Error('a value begins like none before it');
    before = prefix + suffix;
    total += before;
    if (total > limits().bytes) checkBytes(where, 'its values take at least', total);
  }
}

/** The number of values in front of a block of differences. */
function countOf(reader: Reader): number {
  const ahead = { view: reader.view, offset: reader.offset };
  readVarint(ahead);
  readVarint(ahead);
  return readVarint(ahead);
}
