import { performance } from 'node:perf_hooks';

/** How late timers fired, in milliseconds. */
export interface EventLoopLag {
  samples: number;
  p50: number;
  p99: number;
  max: number;
}

const INTERVAL_MS = 1;

/**
 * Watches the event loop of this thread: a timer asks to be called every millisecond, and what it comes too late by is
 * the lag. Returns a function that ends the watch and gives the result.
 */
export function watchEventLoopLag(): () => EventLoopLag {
  const lags: number[] = [];
  let due = performance.now() + INTERVAL_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    lags.push(Math.max(0, now - due));
    due = now + INTERVAL_MS;
  }, INTERVAL_MS);
  timer.unref();
  return () => {
    // A loop that has been blocked until now has had no turn in which the timer could fire.
    if (performance.now() > due) lags.push(performance.now() - due);
    clearInterval(timer);
    lags.sort((a, b) => a - b);
    const percentile = (share: number): number => lags[Math.floor(share * (lags.length - 1))] ?? 0;
    return { samples: lags.length, p50: percentile(0.5), p99: percentile(0.99), max: lags.at(-1) ?? 0 };
  };
}

/**
 * Keeps a long synchronous loop from holding the event loop: call it once per item. It waits for the loop's next turn
 * only when this turn has taken longer than `milliseconds`.
 */
export function createYielder(milliseconds = 2): () => Promise<void> | undefined {
  let began = performance.now();
  return () => {
    if (performance.now() - began < milliseconds) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        began = performance.now();
        resolve();
      }),
    );
  };
}
