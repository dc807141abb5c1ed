/**
 * A parquet file of one row group of one column `text`, with three texts in one unpacked page.
 *
 * @param rows what the file claims to have
 * @param values what the page claims to have
 * @param claims what else the page claims: its size unpacked and packed, and levels of an optional column in front of its values
 */
export function plainParquet(
  rows: number,
  values: number,
  claims?: { unpacked?: number; packed?: number; levels?: readonly number[] },
): Uint8Array;
