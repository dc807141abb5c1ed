import { shownText } from '../../util/shown.js';

let isSilent = false;

/** Has nothing printed from now on, or all of it again: of processes that work together, one speaks. */
export function silence(isWanted: boolean): void {
  isSilent = isWanted;
}

/**
 * Writes to standard output. All of the command line's output goes through here or {@link writeError}: names, texts and
 * paths come from files, and what a terminal would act on in them is escaped. JSON stays the same JSON.
 */
export function writeOutput(text: string): void {
  if (!isSilent) process.stdout.write(shownText(text));
}

/** {@link writeOutput} to standard error. */
export function writeError(text: string): void {
  if (!isSilent) process.stderr.write(shownText(text));
}

/** Prints a value for machines. */
export function printJson(value: unknown): void {
  writeOutput(`${JSON.stringify(value, null, 2)}\n`);
}

export function print(line = ''): void {
  writeOutput(`${line}\n`);
}

/** A line about what is going on: on standard error, so that standard output stays the result. */
export function note(line: string): void {
  writeError(`${line}\n`);
}
