/**
 * Work that enqueues ops and may be interrupted wherever it yields: between two layers, between two parameters. Written
 * as a generator, so that {@link Device.now} runs it at once where a caller needs that, and {@link Device.inSlices} lets
 * the event loop turn in between: enqueueing a large model's step takes tens of milliseconds.
 */
export type Sliced<T> = Generator<void, T, void>;

/** Enqueued without a break before the event loop gets a turn. */
export const SLICE_MILLISECONDS = 1;

/**
 * Work after which a patient slice ends, in multiply-adds as {@link workOf} estimates them: 3 to 6 milliseconds of two cores.
 */
export const PATIENT_WORK = 2 ** 29;

/**
 * Multiply-adds of a call, at most: a row of the first input for every value of the results. That is what products take, of which
 * nearly all of a model's work consists; of other ops it is more than they take.
 */
export function workOf(
  first: readonly number[] | undefined,
  results: readonly ({ readonly size: number } | null)[],
): number {
  const values = results.reduce((total, result) => total + (result?.size ?? 0), 0);
  return values * (first?.at(-1) ?? 1);
}

// Work that waits for a slice, first come, first served.
const waiting: (() => void)[] = [];
let sliceEnd = 0;
let isTurnOpen = false;

/**
 * Waits until a slice may begin. All sliced work shares one budget of {@link SLICE_MILLISECONDS} per turn of the event
 * loop, first come, first served.
 *
 * @returns when it has to end, on the clock of `performance.now`; then call {@link endSlice}
 */
export function beginSlice(): number | Promise<number> {
  // The caller may be in a phase of the loop after which setImmediate's callbacks run before any timer. Only the second
  // callback is certain to run in another turn.
  if (!isTurnOpen) openTurn(() => setImmediate(nextTurn));
  if (waiting.length === 0 && performance.now() < sliceEnd) return sliceEnd;
  return new Promise<void>((resolve) => waiting.push(resolve)).then(() => sliceEnd);
}

/** Gives the rest of this turn's budget to the next work. */
export function endSlice(): void {
  if (performance.now() < sliceEnd) waiting.shift()?.();
}

function openTurn(close: () => void): void {
  isTurnOpen = true;
  sliceEnd = performance.now() + SLICE_MILLISECONDS;
  setImmediate(close);
}

function nextTurn(): void {
  isTurnOpen = false;
  if (waiting.length === 0) return;
  openTurn(nextTurn);
  waiting.shift()?.();
}

/** Runs work to its end without a break. */
export function runToEnd<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
