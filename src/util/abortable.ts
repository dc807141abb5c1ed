import { throwIfAborted } from '../errors.js';

/**
 * Waits for `promise`, or until `signal` is aborted. Work that is already queued on a device cannot be taken back; this
 * lets the caller go on at once while it runs out.
 *
 * @throws HintError `ABORTED`, or what `promise` rejects with
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<void>((resolve) => {
    onAbort = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', resolve, { once: true });
  });
  try {
    // An abort leaves `promise` without anyone waiting; race keeps its later rejection from being unhandled.
    const winner = await Promise.race([promise.then((value) => ({ value })), aborted]);
    if (winner) return winner.value;
    throwIfAborted(signal);
    throw new Error('unreachable');
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}
