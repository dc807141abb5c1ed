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
 * Measures the lag of this thread's event loop: a timer is set to every millisecond, and its delay is the lag. Returns
 * a function that ends the measurement and returns the result.
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
    // When the event loop was blocked until now, the timer could not fire; its delay counts, too.
    if (performance.now() > due) lags.push(performance.now() - due);
    clearInterval(timer);
    lags.sort((a, b) => a - b);
    const percentile = (share: number): number => lags[Math.floor(share * (lags.length - 1))] ?? 0;
    return { samples: lags.length, p50: percentile(0.5), p99: percentile(0.99), max: lags.at(-1) ?? 0 };
  };
}

/**
 * Keeps a long loop from blocking the event loop. Call the returned function once per item: it waits for the event
 * loop's next turn when this turn has taken longer than `milliseconds`.
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
