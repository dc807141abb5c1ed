import { readPage } from 'hyparquet/src/column.js';
import { checkBytes, VALUE_BYTES } from '../../util/limits.js';
import { checkPage } from './page-claims.js';
import { decoderOf, pagesOf, readDictionary, viewOf, type ColumnChunk } from './pages.js';

/** A row's bytes; nothing where the row has no value. */
export type Cell = Uint8Array | null | undefined;

/**
 * The rows of a flat column of byte arrays. hyparquet decodes each page, but trusts what pages claim: a run of a few bytes
 * may claim billions of values, a page gigabytes. So each claim is held against the rows of the group and the limit of
 * memory before it is decoded.
 *
 * @throws HintError LIMIT_EXCEEDED; other errors for damaged pages
 */
export function readCells(chunk: ColumnChunk): Cell[] {
  const { where, rows } = chunk;
  checkBytes(where, `its ${rows} rows take about`, rows * VALUE_BYTES);
  const decoder = decoderOf(chunk);
  const cells: Cell[] = [];
  let dictionary: Uint8Array[] | undefined;
  if (rows > 0)
    for (const page of pagesOf(chunk)) {
      const { header, bytes } = page;
      checkPage(chunk, header, bytes, rows - cells.length);
      if (header.type === 'DICTIONARY_PAGE') dictionary = readDictionary(page, decoder);
      else {
        const reader = { view: viewOf(bytes), offset: 0 };
        const { data = [] } = readPage(reader, header, decoder, dictionary, undefined, 0);
        for (const cell of data as Cell[]) cells.push(cell);
      }
      if (cells.length >= rows) break;
    }
  if (cells.length !== rows) throw new Error(`a row group claims ${rows} rows and has ${cells.length}`);
  return cells;
}
