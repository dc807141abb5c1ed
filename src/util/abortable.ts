import { throwIfAborted } from '../errors.js';

/**
 * Waits for `promise`, or until `signal` is aborted. Work that is already queued on a device cannot be taken back; this
 * lets the caller go on at once while it runs out.
 *
 * @throws HintError `ABORTED`, or what `promise` rejects with
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  throwIfAborted(signal);
  let onAbort = (): void => undefined;
  const aborted = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    const winner = await Promise.race([promise.then((value) => ({ value })), aborted]);
    throwIfAborted(signal);
    return (winner as { value: T }).value;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
