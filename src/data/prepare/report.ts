import { isAbsolute, relative, resolve } from 'node:path';
import { HintError } from '../../util/errors.js';

/** How far a preparation is. */
export interface PrepareProgress {
  /** Files that are made, or were already. */
  readonly done: number;
  /** Files that are to be made, as far as that is known. */
  readonly total: number;
  /** The one under way. */
  readonly file: string;
}

/** What every preparation is given. */
export interface PrepareOptions {
  /** What is published: a folder, or a file where the kind says so. */
  readonly source: string;
  /** The folder of data, which is made or added to. */
  readonly folder: string;
  /** Ends the work, which rejects with ABORTED; what is finished stays. */
  readonly signal?: AbortSignal | undefined;
  /** Called before each file. */
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined;
}

/** A number of the paper or of its sources, beside the one of the data that are there. */
export interface PublishedCount {
  readonly what: string;
  readonly found: number;
  readonly published: number;
}

/** What a preparation gave. */
export interface PrepareReport {
  /** Files that this call has made. */
  readonly made: number;
  /** Files that were there from an earlier call. */
  readonly kept: number;
  readonly counts: readonly PublishedCount[];
  /** Sentences: what the data lack against what is published, how to get it, and what is left out. */
  readonly notes: readonly string[];
}

const MOST_NAMES = 5;

/** Some names and how many more there are. */
export function someOf(names: readonly string[]): string {
  const first = names.slice(0, MOST_NAMES).join(', ');
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${first} and ${more} more` : first;
}

/**
 * Refuses a folder of data inside of its source, where a second call would take what the first has made for published data.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function checkApart({ source, folder }: Pick<PrepareOptions, 'source' | 'folder'>): void {
  const path = relative(resolve(source), resolve(folder));
  if (/^\.\.(?:\/|$)/.test(path) || isAbsolute(path)) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${folder} lies in ${source}, from which it is to be made; give a folder outside of it.`,
  );
}
