import type { Notices } from '../../util/notices.js';
import type { TextFile } from './files.js';
import { isBlank, readLines } from './lines.js';
import type { ParquetJob, ParquetRows } from '../../formats/parquet/texts.js';
import type { DocumentGroup, DocumentPlace } from './text-job.js';

/** A place between two documents of a corpus whose files are read in a given order. */
export interface TextPosition {
  /** Index of the file in that order. */
  shard: number;
  /** Lines or rows of the file that were read. */
  line: number;
  /** Bytes of the unpacked file that were read; 0 for parquet. */
  byte: number;
}

/** Where reading a corpus begins. */
export const START: TextPosition = { shard: 0, line: 0, byte: 0 };

/** How documents are read. */
export interface ReadOptions {
  column: string;
  /** Reads rows of a parquet file; see `readParquetRows`. */
  parquet: (job: ParquetJob) => Promise<ParquetRows>;
  notices?: Notices | undefined;
  signal?: AbortSignal | undefined;
}

interface RawDocument {
  bytes: Uint8Array;
  place: DocumentPlace;
  /** Behind the document. */
  next: TextPosition;
}

/**
 * Reads a corpus document by document and deals it out in groups; a group may go over the end of a file. Blank lines
 * are passed over.
 *
 * @param files in the order of reading
 * @param size documents per group; the last group may have fewer
 * @returns per group the place behind it
 * @throws HintError as {@link readLines} and the parquet reader
 */
export async function* readGroups(
  files: readonly TextFile[],
  from: TextPosition,
  size: number,
  options: ReadOptions,
): AsyncGenerator<{ documents: DocumentGroup; next: TextPosition }, void, undefined> {
  let parts: Uint8Array[] = [];
  let places: DocumentPlace[] = [];
  let next = from;
  const deal = (): { documents: DocumentGroup; next: TextPosition } => {
    let end = 0;
    const ends = parts.map((part) => (end += part.length));
    const group = { documents: { bytes: Buffer.concat(parts), ends, places }, next };
    [parts, places] = [[], []];
    return group;
  };
  for (let shard = from.shard; shard < files.length; shard++) {
    const begin = shard === from.shard ? from : { shard, line: 0, byte: 0 };
    for await (const document of readFile(files[shard]!, begin, options)) {
      parts.push(document.bytes);
      places.push(document.place);
      next = document.next;
      if (parts.length === size) yield deal();
    }
  }
  if (parts.length > 0) yield deal();
}

function readFile(
  file: TextFile,
  from: TextPosition,
  options: ReadOptions,
): AsyncGenerator<RawDocument, void, undefined> {
  return file.form === 'parquet' ? readRows(file, from, options) : readTexts(file, from, options);
}

async function* readTexts(
  file: TextFile,
  { shard, line, byte }: TextPosition,
  { notices, signal }: ReadOptions,
): AsyncGenerator<RawDocument, void, undefined> {
  const split = file.form !== 'text-file';
  const json = file.form === 'json-lines';
  for await (const read of readLines(file, { line, byte }, { split, notices, signal })) {
    if (isBlank(read.bytes)) continue;
    yield {
      bytes: read.bytes,
      place: { file: file.path, line: split ? read.line : 0, json },
      next: { shard, line: read.line, byte: read.nextByte },
    };
  }
}

async function* readRows(
  file: TextFile,
  { shard, line }: TextPosition,
  { column, parquet }: ReadOptions,
): AsyncGenerator<RawDocument, void, undefined> {
  let row = line;
  for (let rows = Infinity; row < rows;) {
    const read = await parquet({ file: file.path, column, row });
    // If row groups hold fewer rows than the file says, reading must still end.
    rows = read.ends.length > 0 ? read.rows : row;
    for (let i = 0; i < read.ends.length; i++) {
      row++;
      yield {
        bytes: read.bytes.subarray(read.ends[i - 1] ?? 0, read.ends[i]),
        place: { file: file.path, line: row, json: false },
        next: { shard, line: row, byte: 0 },
      };
    }
  }
}
