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
}

/** The columns of a table, in order. */
export function topColumns(schema: readonly SchemaElement[]): TopColumn[] {
  const columns: TopColumn[] = [];
  // Fields that are still to come at each level that is open.
  const open: number[] = [];
  for (const element of schema.slice(1)) {
    if (open.length === 0) columns.push({ name: element.name, element, inner: [] });
    else if (open.length === 1) columns.at(-1)!.inner.push(element.name);
    if (open.length > 0) open[open.length - 1]!--;
    const children = Math.max(0, element.num_children ?? 0);
    if (children > 0) open.push(children);
    while (open.at(-1) === 0) open.pop();
  }
  return columns;
}

/** Why a column holds no texts: what it holds instead, by the types of the file; undefined where it holds texts. */
export function notText({ element, inner }: TopColumn): string | undefined {
  const { type, repetition_type: repetition, converted_type: converted, logical_type: logical } = element;
  const meaning: string | undefined = logical?.type ?? converted;
  if (type === 'BYTE_ARRAY' && repetition !== 'REPEATED' && TEXT_MEANINGS.has(meaning)) return undefined;
  if (type === undefined)
    return `${meaning ?? (repetition === 'REPEATED' ? 'lists of columns' : 'columns')} of ${inner.slice(0, MOST_COLUMNS).join(', ')}`;
  const kind = meaning === undefined || meaning === type ? type : `${type}, ${meaning}`;
  return repetition === 'REPEATED' ? `lists of ${kind}` : kind;
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
