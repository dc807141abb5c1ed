import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { appendLines } from '../../util/atomic-file.js';
import { check } from '../../util/check.js';
import { HintError } from '../../util/errors.js';
import { takeLock } from '../../util/lock.js';
import { parseJson, readText } from '../../util/read-file.js';
import { recordOf } from '../../util/record-schema.js';
import { recordsOf } from '../../util/records.js';
import { makeFolder } from '../../util/write-error.js';

/** What a finished file was made of, and what it holds. */
export interface Made {
  /** Path of the file below the folder. */
  readonly file: string;
  /** What it was made of: names, sizes and times of the sources, and the settings. */
  readonly from: string;
  /** Size of the file when it was finished; null while it is made. */
  readonly bytes: number | null;
  /** Numbers about it, such as how many instances it has. */
  readonly counts: Readonly<Record<string, number>>;
}

const madeSchema = z.object({
  file: z.string(),
  from: z.string(),
  bytes: z.int().min(0).nullable(),
  counts: recordOf(z.number()),
});

// No reader of data takes a file of this name for data.
const LEDGER = '.prepared';
const LOCK = '.prepare.lock';

/**
 * What has been prepared in a folder: one line for each finished file, written when it is whole. A second preparation makes
 * only the files that are not there, or whose sources are others.
 */
export class Ledger implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    private readonly known: Map<string, Made>,
    private readonly release: () => Promise<void>,
  ) {}

  /**
   * Opens the ledger of a folder, which is made, and locks it.
   *
   * @throws HintError INVALID_ARGUMENT where another process prepares there, INVALID_DATA where the ledger holds something
   *   else, IO
   */
  static async open(folder: string): Promise<Ledger> {
    await makeFolder(folder);
    const release = await takeLock(join(folder, LOCK), {
      doing: `preparing data in ${folder}`,
      instead: 'another folder',
    });
    try {
      return new Ledger(folder, await readLedger(join(folder, LEDGER)), release);
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** What is there of a file that was made of the same sources; undefined where it has to be made. */
  async find(file: string, from: string): Promise<Made | undefined> {
    const made = this.known.get(file);
    if (made?.from !== from) return undefined;
    const size = await stat(join(this.folder, file)).then(
      (status) => status.size,
      () => undefined,
    );
    return size === made.bytes ? made : undefined;
  }

  /** The finished files that are there, also those of earlier calls with other sources. */
  get finished(): Made[] {
    return [...this.known.values()].filter(
      ({ file, bytes }) => bytes !== null && existsSync(join(this.folder, file)),
    );
  }

  /**
   * Makes a file, and takes note of it before and afterwards.
   *
   * @param write writes the file, whole or not at all, and gives numbers about it
   * @throws HintError INVALID_DATA for a file of that name that was not made here, IO; what `write` throws
   */
  async make(file: string, from: string, write: (path: string) => Promise<Made['counts']>): Promise<Made> {
    const path = join(this.folder, file);
    if (!this.known.has(file) && existsSync(path))
      throw new HintError(
        'INVALID_DATA',
        `${path} exists and was not prepared here, so it is not written over; give another folder, or remove it.`,
      );
    await this.note({ file, from, bytes: null, counts: {} });
    await makeFolder(dirname(path));
    const counts = await write(path);
    const { size: bytes } = await stat(path);
    return this.note({ file, from, bytes, counts });
  }

  private async note(made: Made): Promise<Made> {
    await appendLines(join(this.folder, LEDGER), `${JSON.stringify(made)}\n`);
    this.known.set(made.file, made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

async function readLedger(path: string): Promise<Map<string, Made>> {
  const known = new Map<string, Made>();
  if (!existsSync(path)) return known;
  for (const line of recordsOf(await readText(path, 'the list of what is prepared'))) {
    const made = readLine(line, path);
    if (made) known.set(made.file, made);
  }
  return known;
}

/** A line that a kill has cut off says nothing: its file is made again. */
function readLine(line: string, path: string): Made | undefined {
  if (line.trim() === '') return undefined;
  try {
    const { data, faults } = check(madeSchema, parseJson(line, path, 'the list'));
    return faults ? undefined : data;
  } catch (error) {
    if (error instanceof HintError && error.code === 'INVALID_JSON') return undefined;
    throw error;
  }
}
