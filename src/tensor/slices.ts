/**
 * Work that enqueues ops and may be interrupted wherever it yields: between two layers, between two parameters. Written
 * as a generator, so that {@link Device.now} runs it at once where a caller needs that, and {@link Device.inSlices} lets
 * the event loop turn in between: enqueueing a large model's step takes tens of milliseconds.
 */
export type Sliced<T> = Generator<void, T, void>;

/** Enqueued without a break before the event loop gets a turn. */
export const SLICE_MILLISECONDS = 2;

/** Runs work to its end without a break. */
export function runToEnd<T>(work: Sliced<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}
