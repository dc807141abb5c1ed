import type { FileHandle } from 'node:fs/promises';
import type { SchemaElement } from 'hyparquet';
import type { Cell } from './column.js';
import { findGroup, readGroup, withMetadata, type GroupToRead } from './file.js';
import {
  findTextColumn,
  isTextOrNull,
  listOf,
  notText,
  topColumns,
  type ListColumn,
  type TopColumn,
} from './schema.js';

/** What a row has in a column: bytes, a list of them, or a list of objects of them; nothing where there is no value. */
export type TableCell = Cell | Cell[] | Record<string, Cell>[];

/** Some columns of consecutive rows. */
export interface ParquetTable {
  /** Per row and column. */
  cells: TableCell[][];
  /** Rows of the whole file. */
  rows: number;
}

/** The columns of a file's table. @throws HintError as `readParquetRows` */
export function readParquetColumns(file: string): Promise<TopColumn[]> {
  return withMetadata(file, async (_, { schema }) => topColumns(schema));
}

/**
 * Why {@link readParquetTable} does not read a column: what it holds, by the types of the file; undefined where it does.
 *
 * @param fields as there
 */
export function notReadable(column: TopColumn, fields: readonly string[]): string | undefined {
  const lists = listOf(column);
  const isRead = lists ? hasOne(lists, fields) : column.leaves.length === 1 && isTextOrNull(column.element);
  return isRead ? undefined : notText(column);
}

function hasOne({ texts, fields }: ListColumn, wanted: readonly string[]): boolean {
  return texts !== undefined || wanted.some((name) => fields?.has(name));
}

/**
 * Some columns, of texts or of lists, from a row to the end of its row group; rows may lack a value.
 *
 * @param fields the fields that are read of lists of objects
 * @throws HintError as `readParquetRows`
 */
export function readParquetTable(
  file: string,
  columns: readonly string[],
  row: number,
  fields: readonly string[] = [],
): Promise<ParquetTable> {
  return withMetadata(file, async (handle, metadata, size) => {
    const rows = Number(metadata.num_rows);
    const found = findGroup(metadata, row);
    if (!found) return { cells: [], rows };
    const { group, number, begin } = found;
    const place = { where: `${file}, row group ${number},`, group, size };
    const tops = topColumns(metadata.schema);
    const cells: TableCell[][] = [];
    for (const column of columns) {
      const top = tops.find(({ name }) => name === column);
      const lists = top && listOf(top);
      const isRead = top && notReadable(top, fields) === undefined;
      const read =
        isRead && lists
          ? await readGroupLists(handle, place, lists, fields)
          : await readGroupTexts(handle, place, isRead ? top.element : findTextColumn(metadata.schema, file, column)); // prettier-ignore
      for (const [i, cell] of read.slice(row - begin).entries()) (cells[i] ??= []).push(cell);
    }
    return { cells, rows };
  });
}

type GroupPlace = Omit<GroupToRead, 'path'>;

async function readGroupTexts(
  handle: FileHandle,
  place: GroupPlace,
  element: SchemaElement,
): Promise<Cell[]> {
  const { readCells } = await import('./column.js');
  return readGroup(handle, { ...place, path: [element] }, readCells);
}

async function readGroupLists(
  handle: FileHandle,
  place: GroupPlace,
  { texts, fields = new Map() }: ListColumn,
  wanted: readonly string[],
): Promise<TableCell[]> {
  const { readLists } = await import('./lists.js');
  if (texts) return readGroup(handle, { ...place, path: texts }, readLists);
  const objects: (Record<string, Cell>[] | null)[] = [];
  for (const name of wanted) {
    const path = fields.get(name);
    if (!path) continue;
    const lists = await readGroup(handle, { ...place, path }, readLists);
    for (const [row, list] of lists.entries()) {
      const known = objects[row];
      if (known === undefined) objects[row] = list && list.map((cell) => ({ [name]: cell }));
      else if (known?.length !== list?.length)
        throw new Error(`a row has another number of ${name} than of other fields`);
      else for (const [i, cell] of (list ?? []).entries()) known![i]![name] = cell;
    }
  }
  return objects;
}
