import { HintError } from '../../util/errors.js';
import { shortened, shown } from '../../util/shown.js';
import { describeError, EXIT, untilAsked } from './ending.js';
import { note, print, printJson, writeError, writeOutput } from './output.js';

export { EXIT, note, print, printJson, writeError, writeOutput };

// A longer cell would widen every row of its table; --json has the whole text.
const LONGEST_CELL = 2000;

/**
 * Wraps a command's action: gives it an AbortSignal that Ctrl-C, SIGTERM and SIGHUP trigger (a second signal ends the
 * process at once), prints an error as one sentence (as JSON when the command was asked for JSON) and sets the exit code.
 */
export function action<Arguments extends unknown[]>(
  body: (signal: AbortSignal, ...given: Arguments) => Promise<number | void>,
): (...given: Arguments) => Promise<void> {
  return (...given) =>
    untilAsked(
      (signal) => body(signal, ...given),
      (error) => report(error, given),
    );
}

function report(error: unknown, given: unknown[]): number {
  const wantsJson = given.some(
    (value) => typeof value === 'object' && value !== null && (value as { json?: boolean }).json === true,
  );
  const code = error instanceof HintError ? error.code : 'INTERNAL';
  if (wantsJson)
    printJson({ error: { code, message: error instanceof Error ? error.message : String(error) } });
  else note(describeError(error));
  if (code === 'ABORTED') return EXIT.interrupted;
  return code === 'INVALID_ARGUMENT' || code === 'INVALID_CONFIG' ? EXIT.usage : EXIT.failed;
}

/** Rows of cells as aligned columns; numbers right, text left. */
export function table(header: string[], rows: (string | number)[][]): string {
  const cells = [
    header,
    ...rows.map((row) => row.map((cell) => shown(shortened(String(cell), LONGEST_CELL)))),
  ];
  const widths = header.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  const right = header.map(
    (_, column) => rows.length > 0 && rows.every((row) => /^[-\d.,×%]+( |$)/.test(String(row[column] ?? ''))),
  );
  const line = (row: string[]): string =>
    row
      .map((cell, column) =>
        right[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [
    line(header),
    widths.map((width) => '-'.repeat(width)).join('  '),
    ...cells.slice(1).map(line),
  ].join('\n');
}
