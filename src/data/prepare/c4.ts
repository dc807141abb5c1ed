import { basename, relative } from 'node:path';
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { writeFileAtomically } from '../../util/atomic-file.js';
import { check } from '../../util/check.js';
import { HintError, throwIfAborted } from '../../util/errors.js';
import { GzipRecords } from '../../util/gzip-records.js';
import { parseJson } from '../../util/read-file.js';
import { jsonRecord } from '../../util/records.js';
import { readTextLines } from '../line-blocks.js';
import { findTextFiles, type TextFile } from '../text/files.js';
import { Ledger } from './ledger.js';
import { sourceMark } from './source-mark.js';
import { checkApart, type PrepareOptions, type PrepareReport, type PublishedCount } from './report.js';

const PROGRESS_DOCUMENTS = 10_000;
const document = z.looseObject({ text: z.string() });
// c4-train.00000-of-01024.json.gz
const SHARD = /^(.+)\.(\d+)-of-(\d+)\./;

/**
 * C4 as `hint pretrain` reads it, from its published files of JSON lines: the texts, without address and time, in files of the
 * same names, each read whole and checked. Files of the validation part are left out. What was made by an earlier call stays.
 *
 * @throws HintError NOT_FOUND, INVALID_ARGUMENT for two files of one name, IO, INVALID_DATA naming file and line, INVALID_JSON, LIMIT_EXCEEDED, ABORTED
 */
export async function prepareC4({
  source,
  folder,
  signal,
  onProgress,
}: PrepareOptions): Promise<PrepareReport> {
  checkApart({ source, folder });
  const found = (await findTextFiles([source], 'line', signal)).filter(({ form }) => form === 'json-lines');
  const files = found.filter(({ path }) => !/validation/i.test(basename(path)));
  if (files.length === 0)
    throw new HintError(
      'NOT_FOUND',
      `${source} has no training file of C4; give its files of JSON lines, such as c4-train.00000-of-01024.json.gz.`,
    );
  // A source may also be a pattern of names.
  const isFolder = await stat(source).then(
    (status) => status.isDirectory(),
    () => false,
  );
  const named = namedApart(files, (path) => (isFolder ? relative(source, path) : basename(path)));
  await using ledger = await Ledger.open(folder);
  let [made, kept] = [0, 0];
  for (const { file, name, target } of named) {
    throwIfAborted(signal);
    const tell = (detail = ''): void =>
      onProgress?.({ done: made + kept, total: files.length, file: `${name}${detail}` });
    tell();
    const from = await sourceMark(name, file.path);
    const before = await ledger.find(target, from);
    const write = (path: string): Promise<Record<string, number>> =>
      writeTexts(file, path, (count) => tell(`, ${count} documents`), signal);
    if (!before) await ledger.make(target, from, write);
    if (before) kept++;
    else made++;
  }
  const { finished } = ledger;
  const documents = finished.reduce((sum, { counts }) => sum + (counts['documents'] ?? 0), 0);
  const leftOut = found.length - files.length;
  return {
    made,
    kept,
    counts: shardsOf(finished.map(({ file }) => file)),
    notes: [
      `${documents} documents.`,
      ...(leftOut > 0 ? [`${leftOut} files of the validation part are left out.`] : []),
    ],
  };
}

interface NamedFile {
  readonly file: TextFile;
  /** Of the source, below what was given. */
  readonly name: string;
  /** Of what is made of it, below the folder of data. */
  readonly target: string;
}

/**
 * Files with the names of what is made of them. Two of one name are refused: the second would replace the first.
 *
 * @throws HintError INVALID_ARGUMENT
 */
function namedApart(files: readonly TextFile[], nameOf: (path: string) => string): NamedFile[] {
  const taken = new Map<string, string>();
  return files.map((file) => {
    const name = nameOf(file.path);
    const target = `${name.replace(/\.gz$/i, '')}.gz`;
    const other = taken.get(target);
    if (other !== undefined)
      throw new HintError(
        'INVALID_ARGUMENT',
        `${other} and ${file.path} would both be written to ${target}; prepare them into different folders, or give the folder that holds both, whose folders are kept.`,
      );
    taken.set(target, file.path);
    return { file, name, target };
  });
}

async function writeTexts(
  file: TextFile,
  path: string,
  onDocuments: (count: number) => void,
  signal: AbortSignal | undefined,
): Promise<Record<string, number>> {
  let [documents, bytes] = [0, 0];
  await writeFileAtomically(
    path,
    async (append) => {
      const records = new GzipRecords(append);
      for await (const { text: line, where } of readTextLines(file.path, 'the documents', { signal })) {
        const { data, faults } = check(document, parseJson(line, where, 'the document'));
        if (faults)
          throw new HintError(
            'INVALID_DATA',
            `${where} is no document of C4: field ${faults[0].path.join('.') || '(the whole)'} ${faults[0].message}; fetch the file again.`,
          );
        await records.add(jsonRecord({ text: data.text }));
        bytes += Buffer.byteLength(data.text);
        if (++documents % PROGRESS_DOCUMENTS === 0) onDocuments(documents);
      }
      await records.flush();
    },
    signal,
  );
  return { documents, bytes };
}

/** How many files are prepared of each set of files that say how many they are. */
function shardsOf(files: readonly string[]): PublishedCount[] {
  const sets = new Map<string, { found: number; published: number }>();
  for (const path of files) {
    const [, name, , of] = SHARD.exec(basename(path)) ?? [];
    if (name === undefined) continue;
    const set = sets.get(name) ?? { found: 0, published: Number(of) };
    set.found++;
    sets.set(name, set);
  }
  return [...sets].map(([name, set]) => ({ what: `${name}: files`, ...set }));
}
