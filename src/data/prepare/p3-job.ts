import type { P3Split } from '../p3/format.js';
import type { PrepareOptions } from './report.js';

/** Options of `prepareP3`. */
export interface PrepareP3Options extends PrepareOptions {
  /** A folder of promptsource's templates, `DATASET/SUBSET/templates.yaml`; raw rows need it. */
  readonly templates?: string | undefined;
  /** For templates that draw their wording (default 0). */
  readonly seed?: number | undefined;
}

/** A file of prompts that is to be made. */
export interface P3Job {
  readonly dataset: string;
  readonly split: P3Split;
  /** What it is made of. */
  readonly from: string;
  /**
   * Writes the file, and lists it and its templates.
   *
   * @returns rows by template
   */
  readonly write: (path: string, onRows: (rows: number) => void) => Promise<Record<string, number>>;
}

/** What is to be made of a source, and what of it is left out. */
export interface P3Jobs {
  readonly jobs: readonly P3Job[];
  /** Names of datasets or tasks that the paper does not use. */
  readonly others: readonly string[];
}
