import type { SchemaElement } from 'hyparquet';
import { HintError } from '../../util/errors.js';

// Columns that a message names.
const MOST_COLUMNS = 50;
const TEXT_MEANINGS: ReadonlySet<string | undefined> = new Set([undefined, 'UTF8', 'STRING', 'ENUM', 'JSON']);

/** A column of the table itself, not one inside another. */
export interface TopColumn {
  name: string;
  element: SchemaElement;
  /** Names of the columns directly inside it. */
  inner: string[];
  /** The columns that have values, itself or those inside it, each as the path from itself. */
  leaves: SchemaElement[][];
}

/** The columns of a table, in order. */
export function topColumns(schema: readonly SchemaElement[]): TopColumn[] {
  const columns: TopColumn[] = [];
  // The columns that are open, with how many of theirs are still to come.
  const open: { element: SchemaElement; left: number }[] = [];
  for (const element of schema.slice(1)) {
    if (open.length === 0) columns.push({ name: element.name, element, inner: [], leaves: [] });
    else if (open.length === 1) columns.at(-1)!.inner.push(element.name);
    if (open.length > 0) open[open.length - 1]!.left--;
    const children = Math.max(0, element.num_children ?? 0);
    if (children > 0) open.push({ element, left: children });
    else columns.at(-1)!.leaves.push([...open.map((one) => one.element), element]);
    while (open.at(-1)?.left === 0) open.pop();
  }
  return columns;
}

/** A column whose rows are lists of texts, or of objects of texts. */
export interface ListColumn {
  /** Of lists of texts. */
  texts?: readonly SchemaElement[];
  /** Of lists of objects: the fields that hold texts, by name. */
  fields?: ReadonlyMap<string, readonly SchemaElement[]>;
}

/**
 * What lists a column has, in any of the ways in which writers of Parquet store them: a LIST of a repeated group with an element, the
 * repeated values themselves, or a group that is both. Undefined for anything else, lists in lists included.
 */
export function listOf({ element, leaves }: TopColumn): ListColumn | undefined {
  const places = leaves.map((path) =>
    path.flatMap((one, i) => (one.repetition_type === 'REPEATED' ? [i] : [])),
  );
  const [[repeated, ...more] = []] = places;
  if (repeated === undefined || more.length > 0 || places.some((place) => place.length !== 1 || place[0] !== repeated))
    return undefined; // prettier-ignore
  const isList = (element.logical_type?.type ?? element.converted_type) === 'LIST';
  if (repeated > 1 || (repeated === 1 && !isList)) return undefined;
  const group = leaves[0]![repeated]!;
  // A repeated group of one column is only the way to the element, but for two names that older writers gave the element itself.
  const isElement =
    group.num_children !== 1 || repeated === 0 || ['array', `${element.name}_tuple`].includes(group.name);
  const depth = repeated + (isElement ? 0 : 1);
  const [first] = leaves;
  if (leaves.length === 1 && first!.length === depth + 1)
    return isTextOrNull(first!.at(-1)!) ? { texts: first! } : undefined;
  const fields = leaves.filter((path) => path.length === depth + 2 && isTextOrNull(path.at(-1)!));
  return fields.length > 0 ? { fields: new Map(fields.map((path) => [path.at(-1)!.name, path])) } : undefined;
}

/** Texts, or nothing but nulls: writers that see no value know no type. */
export function isTextOrNull(element: SchemaElement): boolean {
  return isText(element) || element.logical_type?.type === 'NULL';
}

function isText({ type, converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  return type === 'BYTE_ARRAY' && TEXT_MEANINGS.has(logical?.type ?? converted);
}

/** Why a column holds no texts: what it holds instead, by the types of the file; undefined where it holds texts. */
export function notText(column: TopColumn): string | undefined {
  const { element, inner } = column;
  const isRepeated = element.repetition_type === 'REPEATED';
  if (!isRepeated && isText(element)) return undefined;
  if (element.type !== undefined) return isRepeated ? `lists of ${kindOf(element)}` : kindOf(element);
  const meaning: string | undefined = meaningOf(element);
  if (meaning === 'LIST') return `LIST of ${inList(column)}`;
  return `${meaning ?? (isRepeated ? 'lists of columns' : 'columns')} of ${inner.slice(0, MOST_COLUMNS).join(', ')}`;
}

/** What the lists of a column hold: values of a type, lists of them, or columns. */
function inList({ leaves }: TopColumn): string {
  // Below the LIST, its repeated group and the element lie the columns of the element, or the repeated group of another list.
  const inner = leaves.map((path) => path[3]).filter((one) => one && one.repetition_type !== 'REPEATED');
  const names = new Set(inner.map((one) => one!.name));
  if (names.size > 0) return `columns of ${[...names].slice(0, MOST_COLUMNS).join(', ')}`;
  const path = leaves[0]!;
  const lists = path.filter((one) => one.repetition_type === 'REPEATED').length;
  return 'lists of '.repeat(Math.max(0, lists - 1)) + kindOf(path.at(-1)!);
}

function meaningOf({ converted_type: converted, logical_type: logical }: SchemaElement): string | undefined {
  return logical?.type ?? converted;
}

function kindOf(element: SchemaElement): string {
  const { type } = element;
  const meaning = meaningOf(element);
  return meaning === undefined || meaning === type ? String(type) : `${type}, ${meaning}`;
}

/**
 * The column of texts of a name: of the table itself, whatever columns inside others are called.
 *
 * @throws HintError INVALID_DATA when there is none, or it holds something else, naming its type
 */
export function findTextColumn(schema: readonly SchemaElement[], file: string, name: string): SchemaElement {
  const columns = topColumns(schema);
  const found = columns.find((column) => column.name === name);
  const next = 'set data.column to the one that holds the text';
  if (!found) {
    const names = columns.slice(0, MOST_COLUMNS).map((column) => column.name);
    throw new HintError(
      'INVALID_DATA',
      `${file} has no column "${name}" (it has ${names.join(', ')}); ${next}.`,
    );
  }
  const other = notText(found);
  if (other === undefined) return found.element;
  throw new HintError(
    'INVALID_DATA',
    `${file} has no texts in the column "${name}" (it holds ${other}); ${next}.`,
  );
}
