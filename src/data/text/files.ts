import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { openRegularFile } from '../../util/open-input.js';
import { readError } from '../../util/read-error.js';
import {
  checked,
  checkedIfGiven,
  choice,
  list,
  path as pathKind,
  signal as signalKind,
} from '../../util/arguments.js';
import { distinctFiles } from '../distinct-files.js';
import { sha256Hex } from '../../util/hash.js';

/** How the documents lie in a file: JSON objects, one a line; plain text, one a line or one a file; rows of a table. */
export type TextForm = (typeof TEXT_FORMS)[number];
export const TEXT_FORMS = ['json-lines', 'text-lines', 'text-file', 'parquet'] as const;

/** One file (shard) of a corpus. */
export interface TextFile {
  /** As it was found, below the folder or pattern that was given. */
  path: string;
  /** By the ending of its name. */
  form: TextForm;
  /** Whether its content is compressed. */
  gzip: boolean;
  /** Size on disk, compressed where it is. */
  bytes: number;
}

const ENDINGS = /\.(jsonl|json|ndjson|txt)(\.gz)?$|\.parquet$/i;
const ENDINGS_SHOWN = '.jsonl, .json, .ndjson (JSON lines), .txt, each also with .gz, or .parquet';

const PATTERNS = list(pathKind, 'a list of files, folders and glob patterns such as ["texts"]');
const DOCUMENTS = choice('line', 'file');

/**
 * Finds the files of a corpus: files, folders (every text file in them, at any depth) and glob patterns.
 *
 * @param documents what a document of a .txt file is: a line of it, or the whole file
 * @returns each file once, also where links give it several names, in the order of their paths
 * @throws HintError `NOT_FOUND` for a path or pattern that matches nothing, `INVALID_DATA` for a file of another kind,
 *   `INVALID_FILE` for a pipe or a device
 */
export async function findTextFiles(
  patterns: readonly string[],
  documents: 'line' | 'file' = 'line',
  signal?: AbortSignal,
): Promise<TextFile[]> {
  const given = checked(PATTERNS, patterns, 'patterns');
  checked(DOCUMENTS, documents, 'documents');
  checkedIfGiven(signalKind, signal, 'signal');
  const found = new Set<string>();
  for (const pattern of given) {
    throwIfAborted(signal);
    for (const path of await expand(pattern)) {
      if (!ENDINGS.test(path))
        throw new HintError(
          'INVALID_DATA',
          `${path} is no text file of a known kind; give ${ENDINGS_SHOWN}.`,
        );
      found.add(path);
    }
  }
  const files: TextFile[] = [];
  for (const path of await distinctFiles([...found].sort(), signal)) {
    const { size } = await stat(path);
    const form = formOf(path.replace(/\.gz$/i, ''), documents);
    files.push({ path, form, gzip: /\.gz$/i.test(path), bytes: size });
  }
  if (files.length > 0) return files;
  throw new HintError('INVALID_ARGUMENT', 'No text was named; give a file, a folder or a glob pattern.');
}

async function expand(pattern: string): Promise<string[]> {
  const entry = await stat(pattern).catch(() => undefined);
  if (entry?.isFile()) return [pattern];
  const { escapePath, glob, isDynamicPattern } = await import('tinyglobby');
  const options = { absolute: true, onlyFiles: true, expandDirectories: false };
  if (entry?.isDirectory()) {
    const inside = await glob(`${escapePath(pattern.replaceAll('\\', '/'))}/**`, options);
    const texts = inside.filter((path) => ENDINGS.test(path));
    if (texts.length > 0) return texts;
    throw new HintError('NOT_FOUND', `${pattern} holds no text file; text files end in ${ENDINGS_SHOWN}.`);
  }
  if (entry)
    throw new HintError(
      'INVALID_FILE',
      `${pattern} is a pipe or a device, and text is read more than once; copy what it gives into a file, and give that.`,
    );
  const matches = isDynamicPattern(pattern) ? await glob(pattern, options) : [];
  if (matches.length > 0) return matches;
  throw new HintError(
    'NOT_FOUND',
    `Nothing is at ${pattern}; give text files, a folder of them or a glob pattern, in quotes.`,
  );
}

function formOf(path: string, documents: 'line' | 'file'): TextForm {
  if (/\.parquet$/i.test(path)) return 'parquet';
  if (!/\.txt$/i.test(path)) return 'json-lines';
  return documents === 'line' ? 'text-lines' : 'text-file';
}

// Bytes of either end of a file that tell it from another of the same name and size.
const SAMPLED_BYTES = 4096;

/**
 * A name for a corpus: names, sizes and both ends of its files. Nothing else of them is read, since a corpus may have
 * hundreds of gigabytes.
 *
 * @throws HintError `IO`, `ABORTED`
 */
export async function corpusFingerprint(files: readonly TextFile[], signal?: AbortSignal): Promise<string> {
  const parts: (string | Uint8Array)[] = [];
  for (const { path, form, bytes } of files) {
    throwIfAborted(signal);
    parts.push(`${basename(path)} ${form} ${bytes}`);
    const file = await openRegularFile(path).catch((cause: unknown) => {
      throw readError(path, cause);
    });
    try {
      for (const position of [0, Math.max(0, bytes - SAMPLED_BYTES)]) {
        const sample = new Uint8Array(SAMPLED_BYTES);
        const { bytesRead } = await file.read(sample, 0, SAMPLED_BYTES, position);
        parts.push(sample.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  }
  return sha256Hex(...parts);
}
