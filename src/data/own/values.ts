import { Readable } from 'node:stream';
import type { Info } from 'csv-parse';
import {
  notReadable,
  readParquetColumns,
  readParquetTable,
  type TableCell,
} from '../../formats/parquet/table.js';
import { formatBytes } from '../../util/bytes.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { BYTES_VARIABLE, checkBytesSoFar, longestLine } from '../../util/limits.js';
import type { Notices } from '../../util/notices.js';
import { decodeText, parseJson } from '../../util/read-file.js';
import { isBlankRecord, withoutReturn } from '../../util/records.js';
import { isGzip, readLineBlocks } from '../line-blocks.js';
import { EXAMPLE_FIELDS, FIELD_NAMES } from './record.js';

/** A record as it stands in a file, or why it cannot be read. */
export type OwnValue = { where: string } & ({ value: unknown } | { error: HintError });

/** How {@link readOwnValues} reads. */
export interface ReadOwnOptions {
  /** The column that says which split a row is in. */
  splitField: string;
  notices?: Notices | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * The records of a file, one after another: JSON lines, a JSON list, CSV or TSV with a header, or a Parquet table. Records
 * that cannot be read come with the reason; what makes the rest of the file unreadable is thrown.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_FILE, INVALID_DATA, LIMIT_EXCEEDED, ABORTED
 */
export function readOwnValues(
  file: string,
  options: ReadOwnOptions,
): AsyncGenerator<OwnValue, void, undefined> {
  const name = isGzip(file) ? file.slice(0, -3) : file;
  if (/\.parquet$/i.test(name)) return readTable(file, options);
  if (/\.[ct]sv$/i.test(name)) return readSeparated(file, /\.tsv$/i.test(name) ? '\t' : ',', options);
  return readJsonFile(file, /\.json$/i.test(name), options);
}

const NEWLINE = 10;

async function* readJsonFile(
  file: string,
  mayBeList: boolean,
  { notices, signal }: ReadOwnOptions,
): AsyncGenerator<OwnValue, void, undefined> {
  const list: Uint8Array[] = [];
  let length = 0;
  for await (const { bytes, firstLine } of readLineBlocks(file, 'the data', { notices, signal })) {
    if (list.length > 0 || (mayBeList && firstLine === 1 && opensList(bytes))) {
      list.push(bytes);
      checkBytesSoFar(file, 'it is one JSON list, which has', (length += bytes.length));
      continue;
    }
    for (let begin = 0, line = firstLine; begin < bytes.length; line++) {
      const newline = bytes.indexOf(NEWLINE, begin);
      const end = newline < 0 ? bytes.length : newline;
      const where = `${file}, line ${line}`;
      const read = attempt(where, () => withoutReturn(decodeText(bytes.subarray(begin, end), where)));
      if ('error' in read) yield read;
      else if (!isBlankRecord(read.value))
        yield attempt(where, () => parseJson(read.value, where, 'the line'));
      begin = end + 1;
    }
  }
  if (list.length === 0) return;
  const items = parseJson(decodeText(Buffer.concat(list), file), file, 'the list') as unknown[];
  for (const [i, value] of items.entries()) yield { where: `${file}, item ${i + 1}`, value };
}

/** Whether the first character that is no white space, behind a byte order mark, is a bracket. */
function opensList(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4096)).toString('utf8');
  return /^\uFEFF?[\t-\r ]*\[/.test(text);
}

function attempt<T>(where: string, work: () => T): { where: string } & ({ value: T } | { error: HintError }) {
  try {
    return { where, value: work() };
  } catch (error) {
    if (error instanceof HintError) return { where, error };
    throw error;
  }
}

async function* readSeparated(
  file: string,
  delimiter: string,
  { notices, signal }: ReadOwnOptions,
): AsyncGenerator<OwnValue, void, undefined> {
  const texts = async function* (): AsyncGenerator<string> {
    for await (const { bytes, firstLine } of readLineBlocks(file, 'the data', { notices, signal }))
      yield decodeText(bytes, `${file}, from line ${firstLine} on,`);
  };
  const { CsvError, parse } = await import('csv-parse');
  const parser = parse({
    delimiter,
    bom: true,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    record_delimiter: ['\r\n', '\n'],
    max_record_size: longestLine(),
  });
  const source = Readable.from(texts());
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  let header: string[] | undefined;
  let line = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
      throwIfAborted(signal);
      const where = `${file}, line ${line}`;
      line = info.lines + 1;
      if (!header) {
        header = checkHeader(record, where);
        continue;
      }
      if (record.length === header.length) yield { where, value: rowOf(header, record) };
      else {
        const message = `${where} has ${record.length} values, the header ${header.length}; quote values that hold a ${delimiter === ',' ? 'comma' : 'tab'}, a quote or a line end.`;
        yield { where, error: new HintError('INVALID_DATA', message) };
      }
    }
  } catch (cause) {
    throwIfAborted(signal);
    if (!(cause instanceof CsvError)) throw cause;
    if (cause.code === 'CSV_MAX_RECORD_SIZE')
      throw new HintError(
        'LIMIT_EXCEEDED',
        `${file} was not read: from line ${line} on, one record has more than ${formatBytes(longestLine())}, a quarter of the limit of memory a file or record; close the quotes that it leaves open, or, if it is what it should be, set ${BYTES_VARIABLE} to more than four times its size.`,
        { cause },
      );
    throw new HintError(
      'INVALID_DATA',
      `${file} cannot be read: ${cause.message}; quote values as CSV does, and double the quotes in them.`,
      { cause },
    );
  } finally {
    source.destroy();
    parser.destroy();
  }
}

function checkHeader(names: readonly string[], where: string): string[] {
  const trimmed = names.map((name) => name.trim());
  const twice = trimmed.find((name, i) => trimmed.indexOf(name) < i);
  if (twice === undefined) return trimmed;
  throw new HintError(
    'INVALID_DATA',
    `${where} names the column ${JSON.stringify(twice)} twice; keep one of them.`,
  );
}

/** The fields of a row. An empty cell is a field that is not there, but for an output, which may be empty. */
function rowOf(header: readonly string[], cells: readonly unknown[]): object {
  const outputs: readonly string[] = FIELD_NAMES.output;
  const fields = header.flatMap((name, i): [string, unknown][] => {
    const cell = cells[i];
    return cell === undefined || (cell === '' && !outputs.includes(name)) ? [] : [[name, cell]];
  });
  return Object.fromEntries(fields);
}

async function* readTable(
  file: string,
  { splitField, notices, signal }: ReadOwnOptions,
): AsyncGenerator<OwnValue, void, undefined> {
  const known = new Set<string>([...Object.values(FIELD_NAMES).flat(), splitField]);
  const columns = await readParquetColumns(file);
  const read = columns.filter(({ name }) => known.has(name));
  const other = read.find((column) => notReadable(column, EXAMPLE_FIELDS) !== undefined);
  if (other)
    throw new HintError(
      'INVALID_DATA',
      `${file} has no texts in the column "${other.name}" (it holds ${notReadable(other, EXAMPLE_FIELDS)}); write texts or lists of texts there.`,
    );
  const names = read.map(({ name }) => name);
  const others = columns.filter(({ name }) => !known.has(name)).map(({ name }) => [name, '']);
  const rest = Object.fromEntries(others) as Record<string, string>;
  if (names.length === 0)
    throw new HintError(
      'INVALID_DATA',
      `${file} has none of the columns instruction, input and output (it has ${columns.map(({ name }) => name).join(', ').slice(0, 1000)}).`, // prettier-ignore
    );
  let row = 0;
  for (let rows = Infinity; row < rows;) {
    throwIfAborted(signal);
    const table = await readParquetTable(file, names, row, EXAMPLE_FIELDS);
    rows = table.cells.length > 0 ? table.rows : row;
    for (const cells of table.cells) {
      const where = `${file}, row ${++row}`;
      yield attempt(where, () => ({
        ...rest,
        ...rowOf(
          names,
          cells.map((cell, i) => valueOf(cell, `${where}, column ${names[i]},`)),
        ),
      }));
    }
  }
  if (row === 0) notices?.addOnce('tables without rows', file);
}

/** What a cell of a table would be as JSON. */
function valueOf(cell: TableCell, where: string): unknown {
  if (cell instanceof Uint8Array) return decodeText(cell, where);
  if (!Array.isArray(cell)) return undefined;
  return cell.map((one) => {
    if (one instanceof Uint8Array) return decodeText(one, where);
    if (one === null || one === undefined) return null;
    return Object.fromEntries(
      Object.entries(one).map(([name, text]) => [name, text ? decodeText(text, where) : null]),
    );
  });
}
