import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { parseJson } from '../../util/read-file.js';
import type { Ragged } from '../batch.js';
import { readParquetRows, type ParquetJob, type ParquetRows } from '../../formats/parquet/texts.js';
import type { JobKind, LazyTokenizer } from '../tokenizing/job.js';
import { cutIntoExamples, cutIntoSegments, groupRandom, type SegmentSettings } from './segments.js';

/** Where a document stands, for errors. */
export interface DocumentPlace {
  file: string;
  /** Line or row, counted from 1; 0: the document is the whole file. */
  line: number;
  /** Whether the bytes are a JSON object that holds the text, or the text itself. */
  json: boolean;
}

/** A group of documents as they were read: what crosses into a worker thread. */
export interface DocumentGroup {
  /** UTF-8, documents end to end. */
  bytes: Uint8Array;
  /** Per document where it ends in `bytes`. */
  ends: number[];
  places: DocumentPlace[];
}

/** A group to be parsed, tokenised and cut into examples. */
export interface TextJob extends DocumentGroup, SegmentSettings {
  /** The field of a JSON object that holds the text. */
  column: string;
  epoch: number;
  /** Number of the group within its pass. */
  group: number;
}

/**
 * Does one job.
 *
 * @returns three sequences per example: hypernetwork text, input, target
 * @throws HintError `INVALID_DATA`, `INVALID_JSON` naming file and line of a document that cannot be read
 */
export async function runTextJob(job: TextJob, source: LazyTokenizer): Promise<Ragged> {
  const tokenizer = await source.get();
  const documents = job.places.map((place, i) => {
    const bytes = job.bytes.subarray(job.ends[i - 1] ?? 0, job.ends[i]);
    return tokenizer.encode(documentText(bytes, place, job.column), { addEos: false });
  });
  const random = groupRandom(job.seed, job.epoch, job.group);
  const segments = cutIntoSegments(documents, job, tokenizer.eosId, random);
  return cutIntoExamples(segments, job, tokenizer.eosId, random);
}

/** Groups of documents. */
export const TEXT_GROUPS: JobKind<TextJob, Ragged> = { name: 'text-group', run: runTextJob };

/** Row groups of Parquet files. */
export const PARQUET_ROWS: JobKind<ParquetJob, ParquetRows> = { name: 'parquet-rows', run: readParquetRows };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

function documentText(bytes: Uint8Array, place: DocumentPlace, column: string): string {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw new HintError(
      'INVALID_DATA',
      `${where(place)} is not UTF-8; convert the file, or remove the line.`,
      { cause },
    );
  }
  return place.json ? fieldOf(text, place, column) : text;
}

// Fields that a message names.
const MOST_KEYS = 50;

function fieldOf(line: string, place: DocumentPlace, column: string): string {
  const value = parseJson(line, where(place), 'the line');
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new HintError(
      'INVALID_DATA',
      `${where(place)} is no JSON object; JSON lines hold one object with a field "${column}" a line.`,
    );
  const text = Object.hasOwn(value, column) ? (value as Record<string, unknown>)[column] : undefined;
  if (typeof text === 'string') return text;
  const keys = Object.keys(value).slice(0, MOST_KEYS);
  throw new HintError(
    'INVALID_DATA',
    text === undefined
      ? `${where(place)} has no field "${column}" (it has ${keys.join(', ') || 'none'}); set data.column to the field that holds the text.`
      : `${where(place)} has a field "${column}" that is no text but ${showValue(text)}; set data.column to the field that holds the text.`,
  );
}

/** `file:line`, or the file alone. */
export function where({ file, line }: DocumentPlace): string {
  return line > 0 ? `${file}:${line}` : file;
}
