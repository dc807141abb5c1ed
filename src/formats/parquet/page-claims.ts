import { deltaBinaryUnpack } from 'hyparquet/src/delta.js';
import { checkBytesSoFar, limits } from '../../util/limits.js';
import { viewOf, type ColumnChunk, type Header, type Reader } from './pages.js';

// Encoders fill up the last run of packed values; the longest known adds 63 groups of eight.
const MOST_PADDING = 512;
const ENCODINGS = new Set(['PLAIN', 'PLAIN_DICTIONARY', 'RLE_DICTIONARY', 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY']); // prettier-ignore

/**
 * Holds what a page claims against its bytes and the values that may still come: hyparquet trusts it, and a run of a few bytes may
 * claim billions of values.
 *
 * @param most values that it may have
 * @throws HintError LIMIT_EXCEEDED; other errors for damaged pages
 */
export function checkPage(
  { where, levels }: Pick<ColumnChunk, 'where' | 'levels'>,
  header: Header,
  page: Uint8Array,
  most: number,
): void {
  const { dictionary_page_header: dictionary, data_page_header: v1, data_page_header_v2: v2 } = header;
  const reader: Reader = { view: viewOf(page), offset: 0 };
  if (header.type === 'DICTIONARY_PAGE') {
    // Each entry has four bytes of length.
    checkCount(dictionary?.num_values, page.length / 4);
    return;
  }
  const data = v1 ?? v2;
  if (!data || !ENCODINGS.has(data.encoding)) throw new Error(`the encoding ${data?.encoding} holds no text`);
  checkCount(data.num_values, most);
  if (v2) checkCount(v2.num_nulls, v2.num_values);
  const stored = [v2?.repetition_levels_byte_length, v2?.definition_levels_byte_length];
  for (const [i, level] of [levels.repetition, levels.definition].entries()) {
    if (level === 0) {
      if (stored[i]) throw new Error(i === 0 ? 'its rows are lists' : 'it has nulls where none can be');
      continue;
    }
    const length = stored[i] ?? reader.view.getUint32(reader.offset, true);
    if (!v2) reader.offset += 4;
    const end = Math.min(page.length, reader.offset + length);
    checkRuns(reader, widthOf(level), data.num_values, end);
    reader.offset = end;
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

/** Bits that numbers up to one take. */
function widthOf(most: number): number {
  return 32 - Math.clz32(most);
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
    if (total > limits().bytes) checkBytesSoFar(where, 'its values take', total);
  }
}

/** The number of values in front of a block of differences. */
function countOf(reader: Reader): number {
  const ahead = { view: reader.view, offset: reader.offset };
  readVarint(ahead);
  readVarint(ahead);
  return readVarint(ahead);
}
