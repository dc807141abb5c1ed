import { readDataPage, readDataPageV2 } from 'hyparquet/src/datapage.js';
import { checkBytes, limits, VALUE_BYTES } from '../../util/limits.js';
import type { Cell } from './column.js';
import { checkPage } from './page-claims.js';
import { decoderOf, pagesOf, readDictionary, type ColumnChunk, type Decoder, type Page } from './pages.js';

/** A row's list, with nothing in the place of an element without a value; nothing where the row has no list. */
export type CellList = Cell[] | null;

/** An entry of a page: where it stands in the row's list, how much of its path is there, and its value where all of it is. */
interface Entries {
  readonly count: number;
  repetition(i: number): number | undefined;
  definition(i: number): number | undefined;
  readonly values: ArrayLike<number | Uint8Array>;
}

/**
 * The rows of a column whose values are in one list each.
 *
 * Parquet stores a list as its values end to end. A repetition level of 0 begins the next row. The definition level says how much of the
 * path to a value is there: less than the list, the list without an element, an element without a value, or all of it.
 *
 * @param chunk of a column with a repetition level of 1
 * @throws HintError LIMIT_EXCEEDED; other errors for damaged pages
 */
export function readLists(chunk: ColumnChunk): CellList[] {
  const { where, rows, path, levels } = chunk;
  checkBytes(where, `its ${rows} rows take about`, rows * VALUE_BYTES);
  const inList = path
    .slice(0, path.findIndex(isRepeated) + 1)
    .filter((element) => !isRequired(element)).length;
  const decoder = decoderOf(chunk);
  const lists: CellList[] = [];
  let dictionary: Uint8Array[] | undefined;
  let seen = 0;
  for (const page of pagesOf(chunk)) {
    checkPage(chunk, page.header, page.bytes, Math.floor(limits().bytes / VALUE_BYTES) - seen);
    if (page.header.type === 'DICTIONARY_PAGE') {
      dictionary = readDictionary(page, decoder);
      continue;
    }
    const entries = entriesOf(page, decoder, levels.definition);
    checkBytes(where, 'the values of its lists take about', (seen += entries.count) * VALUE_BYTES);
    let value = 0;
    for (let i = 0; i < entries.count; i++) {
      const definition = entries.definition(i);
      const repetition = entries.repetition(i);
      if (definition === undefined || repetition === undefined) throw new Error('its levels end early');
      if (repetition === 0) lists.push(definition < inList - 1 ? null : []);
      if (definition < inList) {
        if (repetition > 0) throw new Error('a list goes on without an element');
        continue;
      }
      const list = lists.at(-1);
      if (!list) throw new Error('a list goes on that has not begun');
      list.push(definition < levels.definition ? null : valueAt(entries.values, value++, dictionary));
    }
  }
  if (lists.length !== rows) throw new Error(`a row group claims ${rows} rows and has ${lists.length}`);
  return lists;
}

function isRepeated({ repetition_type: repetition }: ColumnChunk['path'][0]): boolean {
  return repetition === 'REPEATED';
}

function isRequired({ repetition_type: repetition }: ColumnChunk['path'][0]): boolean {
  return repetition === undefined || repetition === 'REQUIRED';
}

function entriesOf({ header, bytes }: Page, decoder: Decoder, mostDefined: number): Entries {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const data = v1 ?? v2;
  if (!data) throw new Error('a page has no header of its kind');
  const read = v1 ? readDataPage(bytes, v1, decoder) : readDataPageV2(bytes, header, decoder);
  const { definitionLevels = [], repetitionLevels, dataPage } = read;
  // hyparquet gives no levels where every value is there.
  const all = definitionLevels.length === 0;
  return {
    count: data.num_values,
    repetition: (i) => repetitionLevels[i],
    definition: (i) => (all ? mostDefined : definitionLevels[i]),
    values: dataPage as ArrayLike<number | Uint8Array>,
  };
}

function valueAt(values: Entries['values'], at: number, dictionary: Uint8Array[] | undefined): Uint8Array {
  const value = values[at];
  const found = typeof value === 'number' ? dictionary?.[value] : value;
  if (found === undefined) throw new Error('a page has fewer values than its levels say');
  return found;
}
