import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readParquetColumns, readParquetTable } from '../../src/formats/parquet/table.js';
import { readParquetRows } from '../../src/formats/parquet/texts.js';

const types = resolve(import.meta.dirname, '../fixtures/parquet/types.parquet');
const nested = resolve(import.meta.dirname, '../fixtures/parquet/nested.parquet');

async function texts(file: string, column: string): Promise<string[]> {
  const { bytes, ends } = await readParquetRows({ file, column, row: 0 });
  return Array.from(ends, (end, i) => Buffer.from(bytes.subarray(ends[i - 1] ?? 0, end)).toString('utf8'));
}

describe('a parquet column', () => {
  it('is the one of the table, not one of the same name inside another', async () => {
    expect(await texts(nested, 'text')).toEqual(['one', 'two', 'three']);
    await expect(texts(nested, 'id')).rejects.toThrow(/no column "id" \(it has meta, text, rows\)/);
    await expect(texts(nested, 'meta')).rejects.toThrow(/"meta" \(it holds columns of text, id\)/);
    await expect(texts(nested, 'rows')).rejects.toThrow(/"rows" \(it holds LIST of columns of text\)/);
  });

  it.each([
    ['int64', 'INT64'],
    ['int32', 'INT32'],
    ['float', 'DOUBLE'],
    ['bool', 'BOOLEAN'],
    ['decimal', 'FIXED_LEN_BYTE_ARRAY, DECIMAL'],
    ['timestamp', 'INT64, TIMESTAMP'],
    ['int96', 'INT64, TIMESTAMP'],
    ['date', 'INT32, DATE'],
    ['time', 'INT64, TIME'],
    ['list', 'LIST of BYTE_ARRAY, STRING'],
    ['struct', 'columns of text, deep'],
    ['map', 'MAP of key_value'],
    ['fixed', 'FIXED_LEN_BYTE_ARRAY'],
    ['null', 'INT32, NULL'],
  ])('%s is refused by its type', async (column, type) => {
    await expect(texts(types, column)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringContaining(`has no texts in the column "${column}" (it holds ${type})`) as string,
    });
  });

  it('of texts is read however they are stored', async () => {
    expect(await texts(types, 'text')).toEqual(['a', 'b\u2028', 'c']);
    expect(await texts(types, 'dict')).toEqual(['a', 'b', 'a']);
    expect(await texts(types, 'large')).toEqual(['a', 'b', 'c']);
    await expect(texts(types, 'nulls')).rejects.toThrow(/types\.parquet:2 has nothing in the column "nulls"/);
  });

  it('may lack values where several are read together', async () => {
    expect((await readParquetColumns(nested)).map(({ name }) => name)).toEqual(['meta', 'text', 'rows']);
    const { cells, rows } = await readParquetTable(types, ['text', 'nulls'], 1);
    expect(rows).toBe(3);
    expect(cells.map((row) => row.map((cell) => cell && Buffer.from(cell as Uint8Array).toString()))).toEqual(
      [
        ['b\u2028', null],
        ['c', 'c'],
      ],
    );
  });
});
