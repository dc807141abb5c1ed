const ENDING = /\.(jsonl|json|ndjson|csv|tsv)(\.gz)?$|\.parquet$/i;

/** How files of own data end, for messages. */
export const OWN_ENDINGS = '.jsonl, .json, .ndjson, .csv, .tsv, each also with .gz, or .parquet';

/** Whether a file's name is that of own data. */
export function isOwnFile(path: string): boolean {
  return ENDING.test(path);
}
