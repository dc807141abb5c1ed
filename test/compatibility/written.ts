import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const WRITTEN = join(root, 'test/fixtures/version-0.1.0');

/** Answers of a compiled task in the version that wrote the files. */
interface TaskAnswers {
  readonly definition: string;
  readonly examples: { input: string; output: string }[];
  readonly inputs: string[];
  readonly choices: string[];
  readonly greedy: number[][];
  readonly texts: string[];
  readonly logProbs: number[][];
  readonly beams: number[][];
  readonly sampled: number[][];
  readonly scores: number[][];
}

/** expected.json, which make.mjs describes. */
export interface Expected {
  readonly root: string;
  readonly steps: { stored: number; whole: number };
  readonly runs: Record<string, { losses: number[]; weights: string }>;
  readonly tasks: Record<string, TaskAnswers>;
  readonly scores: unknown;
  readonly bench: Record<string, object[]>;
  readonly inspect: Record<string, object>;
}

/** A copy of the files that version 0.1.0 wrote. */
export class Written {
  private constructor(
    readonly folder: string,
    readonly expected: Expected,
  ) {}

  /** Copies the files to a temporary folder, because tests resume runs and add to caches. The caller removes it. */
  static async copy(): Promise<Written> {
    const folder = await mkdtemp(join(tmpdir(), 'hint-compatibility-'));
    await cp(WRITTEN, folder, { recursive: true });
    const expected = JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8')) as Expected;
    return new Written(folder, expected);
  }

  at(...names: string[]): string {
    return join(this.folder, ...names);
  }

  /** JSON of a file, with the paths of the folder it was written in replaced by those of the copy. */
  async json(path: string): Promise<unknown> {
    return JSON.parse(this.moved(await readFile(this.at(path), 'utf8')));
  }

  moved(text: string): string {
    return text.replaceAll(this.expected.root, this.folder);
  }

  /** Compares results of f32 arithmetic with those of the writer, whose products were another library's: within 1e-5. */
  expectNumbers(actual: readonly number[], expected: readonly number[]): void {
    expect(actual).toHaveLength(expected.length);
    const off = actual.map((value, i) => Math.abs(value - expected[i]!) / Math.abs(expected[i]!));
    expect(Math.max(...off), `${actual.join()} for ${expected.join()}`).toBeLessThanOrEqual(1e-5);
  }
}

/** What the command line prints, of the compiled program. */
export async function hint(...words: string[]): Promise<string> {
  const program = join(root, 'dist/bundle/cli/main.js');
  return (await promisify(execFile)(process.execPath, [program, ...words])).stdout;
}
