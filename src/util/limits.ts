import { constants } from 'node:buffer';
import { Script } from 'node:vm';
import { HintError } from './errors.js';
import { checked, integer, number, optional, options } from './arguments.js';
import { formatBytes, parseBytes } from './bytes.js';

/** Limits of reading one file, or one record of a file that is read as a stream. */
export interface Limits {
  /** Bytes of memory: of the file, of its unpacked content, and an estimate of the parsed values. */
  readonly bytes: number;
  /** Wall time, beyond what the size of the file explains. */
  readonly seconds: number;
}

/** The environment's variable for {@link Limits.bytes}. */
export const BYTES_VARIABLE = 'HINT_FILE_MEMORY';
/** The environment's variable for {@link Limits.seconds}. */
export const SECONDS_VARIABLE = 'HINT_FILE_SECONDS';
const DEFAULT_BYTES = 2 ** 28;
const DEFAULT_SECONDS = 10;
// The longest time of a Node.js timer.
const MOST_SECONDS = 2_000_000;

/** Bytes that a parsed value (a number, an object, an entry of either) is estimated to take. */
export const VALUE_BYTES = 64;

let inForce: Limits | undefined;

const LIMITS = options<Partial<Limits>>(
  { bytes: optional(integer(1)), seconds: optional(number(0, MOST_SECONDS, { above: true })) },
  'an object such as { bytes: 2 ** 30, seconds: 60 }',
);

/**
 * The limits in force: 256 MiB and 10 seconds, unless the environment sets HINT_FILE_MEMORY (such as "1GiB") or
 * HINT_FILE_SECONDS when the first file is read, or {@link setLimits} does.
 *
 * @throws HintError INVALID_ARGUMENT for a variable without such a value
 */
export function limits(): Limits {
  return (inForce ??= readLimits());
}

/**
 * Changes what reading one file, or one record of a file that is read as a stream, may take, in this thread and those
 * started later. A file that takes more is refused with a HintError LIMIT_EXCEEDED.
 *
 * @param changed what is left out stays as it is
 * @throws HintError INVALID_ARGUMENT
 */
export function setLimits(changed: Partial<Limits>): void {
  checked(LIMITS, changed, 'changed');
  const before = {
    [BYTES_VARIABLE]: process.env[BYTES_VARIABLE],
    [SECONDS_VARIABLE]: process.env[SECONDS_VARIABLE],
  };
  // The environment holds the value, because threads that are started later get a copy of it.
  if (changed.bytes !== undefined) process.env[BYTES_VARIABLE] = String(changed.bytes);
  if (changed.seconds !== undefined) process.env[SECONDS_VARIABLE] = String(changed.seconds);
  try {
    inForce = readLimits();
  } catch (error) {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    throw error;
  }
}

function readLimits(): Limits {
  const { [BYTES_VARIABLE]: memory, [SECONDS_VARIABLE]: time } = process.env;
  const bytes = memory === undefined ? DEFAULT_BYTES : parseBytes(memory);
  if (bytes === undefined)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${BYTES_VARIABLE} is "${memory}"; set it to a number of bytes, such as 1GiB.`,
    );
  const seconds = time === undefined ? DEFAULT_SECONDS : Number(time);
  if (!(seconds > 0 && seconds <= MOST_SECONDS))
    throw new HintError(
      'INVALID_ARGUMENT',
      `${SECONDS_VARIABLE} is "${time}"; set it to a number of seconds above 0, such as 60.`,
    );
  return { bytes, seconds };
}

/**
 * Throws when `bytes` × `factor` exceeds the memory that a file may take.
 *
 * @param where the file, and the line in it where there is one
 * @param what the beginning of a sentence that the bytes complete: `it unpacks to`, `line 3 has at least`
 * @param factor bytes of memory for each of `bytes`
 * @throws HintError LIMIT_EXCEEDED
 */
export function checkBytes(where: string, what: string, bytes: number, factor = 1): void {
  // The comparison is false for NaN, which is therefore refused.
  if (bytes * factor <= limits().bytes) return;
  const needed = Math.ceil((bytes * factor) / 2 ** 20);
  const setting = Number.isFinite(needed) ? `${BYTES_VARIABLE}=${needed}MiB` : `${BYTES_VARIABLE} to more`;
  throw tooLarge(`${where} was not read: ${what}`, bytes, factor, `set ${setting}`);
}

/**
 * {@link checkBytes} of what has come so far, or can be seen so far, of more: the size that suffices is not known.
 *
 * @param what as in {@link checkBytes}; the sentence goes on with `at least`
 * @throws HintError LIMIT_EXCEEDED
 */
export function checkBytesSoFar(where: string, what: string, bytes: number, factor = 1): void {
  if (bytes * factor <= limits().bytes) return;
  const needed = Math.ceil((bytes * factor) / 2 ** 20);
  const next = `set ${BYTES_VARIABLE} to more than ${needed}MiB`;
  throw tooLarge(`${where} was not read: ${what} at least`, bytes, factor, next);
}

function tooLarge(found: string, bytes: number, factor: number, next: string): HintError {
  const most = limits().bytes;
  const limit = `${formatBytes(most)} of memory a file or record`;
  const allowed =
    factor === 1
      ? `the limit is ${limit}`
      : `${formatBytes(Math.floor(most / factor))} fit into the limit of ${limit}`;
  return new HintError(
    'LIMIT_EXCEEDED',
    `${found} ${formatBytes(bytes)}, ${allowed}. If the file is what it should be, ${next}.`,
  );
}

// A line's bytes, text, words and ids are in memory at the same time.
const LINE_FACTOR = 4;

/** The most bytes of a line, or of a document that is a file: a quarter of the limit, 64 MiB by default. */
export function longestLine(): number {
  return Math.floor(limits().bytes / LINE_FACTOR);
}

/**
 * Refuses a line, or a document that is a file, of more than {@link longestLine}.
 *
 * @param bytes its bytes that were read so far
 * @param line its number, or that of an earlier one where lines are read in blocks
 * @throws HintError LIMIT_EXCEEDED
 */
export function checkLine(file: string, bytes: number, line: number): void {
  if (bytes <= longestLine()) return;
  throw tooLarge(
    `${file} was not read: from line ${line} on, one line or document has at least`,
    bytes,
    LINE_FACTOR,
    `break that line, or set ${BYTES_VARIABLE} to ${LINE_FACTOR} times its size; no text can have more than ${constants.MAX_STRING_LENGTH} characters`,
  );
}

/**
 * Runs work that cannot be interrupted otherwise, such as a library's parser or a regular expression, and terminates it
 * after the limit's seconds. Terminated work runs no `finally` block, so it must not change shared state.
 *
 * @param where names the file in the error
 * @throws HintError LIMIT_EXCEEDED; what the work throws
 */
export function withinSeconds<T>(where: string, work: () => T): T {
  const { seconds } = limits();
  const place = globalThis as Record<symbol, unknown>;
  const outer = place[WORK];
  place[WORK] = work;
  try {
    return callWork.runInThisContext({ timeout: Math.ceil(1000 * seconds) }) as T;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw tooSlow(where, cause);
    throw cause;
  } finally {
    if (outer === undefined) delete place[WORK];
    else place[WORK] = outer;
  }
}

// Node.js can only end a script after a time, and a script reaches only globals, so the work is stored in one. A
// context of its own would not need that, but terminating a worker during vm.createContext ends the whole process
// (Node.js 20).
const WORK = Symbol.for('hint-engine: work within seconds');
const callWork = new Script(`globalThis[Symbol.for(${JSON.stringify(Symbol.keyFor(WORK))})]()`);

/** The error of a file or record that takes longer than the limit's seconds. */
export function tooSlow(where: string, cause?: unknown): HintError {
  const { seconds } = limits();
  return new HintError(
    'LIMIT_EXCEEDED',
    `${where} was not read: it takes longer than ${seconds} s, the limit of time a file or record. If the file is what it should be, set ${SECONDS_VARIABLE} to more.`,
    { cause },
  );
}

/**
 * A clock for the engine's own loops. Call it about every few microseconds; `idle` are milliseconds of a pause that do
 * not count.
 *
 * @throws HintError LIMIT_EXCEEDED
 */
export function stopwatch(where: () => string): (idle?: number) => void {
  let end = 0;
  return (idle = 0) => {
    const now = performance.now();
    end ||= now + 1000 * limits().seconds;
    end += idle;
    if (now > end) throw tooSlow(where());
  };
}
