import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';
import { HintError } from '../../util/errors.js';
import { ioError } from '../../util/write-error.js';
import { note } from './output.js';

/** What asks a process to end in an orderly way; SIGPIPE stands for standard output that nobody reads any more. */
type EndingSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE';

/** Exit codes of `hint`, beside 128 + the number of the signal that ended it (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP). */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Long displays, such as a progress bar, that have to end before anything else is shown. */
const displays = new Set<() => void>();

let work: AbortController | undefined;
let asked: EndingSignal | undefined;
/** Milliseconds before it is said that the work stops. */
let announceAfter = 0;
let announcement: NodeJS.Timeout | undefined;

const LATE_MILLISECONDS = 400;

/** How soon the same signal again is an echo of it: `timeout` sends its own to the process, and then to its group. */
const ECHO_MILLISECONDS = 250;
let askedAt = 0;

/**
 * Has it said a little later that a signal stops the work: a launcher sends one to all when one process has ended, and that is
 * what is to be told then.
 */
export function holdAnnouncements(): void {
  announceAfter = LATE_MILLISECONDS;
}

function statusOf(signal: EndingSignal): number {
  return 128 + constants.signals[signal];
}

/**
 * Watches for all that ends the process, from its first moment on. While a command works, the first signal asks it to
 * stop: what it writes is finished or taken back, a training run saves a checkpoint. A second one that is no echo of it, or any
 * while nothing is under way, ends the process at once; what lies about of unfinished files is removed then too. An uncaught error is
 * told and ends the process.
 */
export function watchForEnding(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => askToEnd(signal));
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // EIO: the terminal is gone.
    if (error.code === 'EPIPE' || error.code === 'EIO') return endUnread();
    stopDisplays();
    note(`hint: ${messageOf(ioError('write', 'standard output', error))}`);
    process.exit(EXIT.failed);
  });
  // Standard error has no reader; the work goes on for its result.
  process.stderr.on('error', () => undefined);
  process.on('uncaughtException', (error) => {
    stopDisplays();
    note(describeError(error));
    process.exit(EXIT.failed);
  });
}

function askToEnd(signal: EndingSignal): void {
  if (work && asked === signal && performance.now() - askedAt < ECHO_MILLISECONDS) return;
  if (!work || asked) process.exit(statusOf(signal));
  asked = signal;
  askedAt = performance.now();
  stopDisplays();
  const text =
    signal === 'SIGINT'
      ? 'Stopping; press Ctrl-C again to end at once.'
      : `Stopping after ${signal}; a second signal ends at once.`;
  if (announceAfter === 0) note(text);
  else announcement = setTimeout(note, announceAfter, text);
  work.abort();
}

function endUnread(): void {
  if (!work) process.exit(statusOf('SIGPIPE'));
  asked ??= 'SIGPIPE';
  work.abort();
}

/**
 * Runs a command's work so that a signal can stop it, and sets the exit code: that of the signal that it was asked to
 * end by, also where everything was done by then, unless ending failed; otherwise what the work gives.
 *
 * @param report tells an error and gives the exit code
 */
export async function untilAsked(
  body: (signal: AbortSignal) => Promise<number | void>,
  report: (error: unknown) => number,
): Promise<void> {
  work = new AbortController();
  let code: number;
  let isLoss = false;
  try {
    code = (await body(work.signal)) ?? EXIT.ok;
    stopDisplays();
  } catch (error) {
    stopDisplays();
    isLoss = error instanceof HintError && error.code === 'RANK_LOST';
    // Standard output has no reader, so that nothing is reported.
    code = asked === 'SIGPIPE' && isAbort(error) ? EXIT.interrupted : report(error);
  } finally {
    work = undefined;
    clearTimeout(announcement);
  }
  const isOrderly = code === EXIT.ok || code === EXIT.interrupted;
  process.exitCode = asked && isOrderly ? statusOf(asked) : code;
  // What waited for other processes cannot end by itself.
  if (isLoss) process.exit();
}

function isAbort(error: unknown): boolean {
  return error instanceof HintError && error.code === 'ABORTED';
}

/** Whether the work under way has been asked to stop: nothing new is drawn then. */
export function isEnding(): boolean {
  return asked !== undefined;
}

/** Registers what draws on the terminal: `stop` is called before anything else is shown, and when the work ends. */
export function addDisplay(stop: () => void): void {
  displays.add(stop);
}

/** Takes back {@link addDisplay}. */
export function removeDisplay(stop: () => void): void {
  displays.delete(stop);
}

function stopDisplays(): void {
  for (const stop of displays) stop();
}

/** An error for people: one sentence, and all there is to know where it is ours to mend. */
export function describeError(error: unknown): string {
  if (error instanceof HintError) return `hint: ${error.message}`;
  const known = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `hint: an unexpected error; please report it. ${known}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
