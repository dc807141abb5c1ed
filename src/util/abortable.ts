import { throwIfAborted } from './errors.js';

/**
 * Waits for `promise`, or until `signal` is aborted. Work that is already queued on a device cannot be taken back; this
 * lets the caller go on at once while that work runs out. A later rejection of `promise` never counts as unhandled,
 * also when `signal` was aborted before the call.
 *
 * @throws HintError `ABORTED`, or what `promise` rejects with
 */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  promise.catch(() => undefined);
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

/**
 * Runs several tasks at once. When one fails, the others are aborted. The promise rejects only after all have ended, so
 * that what they use can then be released.
 *
 * @returns the results, in the order of the tasks
 * @throws the error of the first task that failed; HintError `ABORTED`
 */
export async function allOrNone<T extends readonly unknown[]>(
  signal: AbortSignal | undefined,
  works: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> },
): Promise<T> {
  throwIfAborted(signal);
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let failure: { error: unknown } | undefined;
  try {
    const results = await Promise.all(
      works.map(async (work) => {
        try {
          return await work(stop.signal);
        } catch (error) {
          failure ??= { error };
          stop.abort(error);
          return undefined;
        }
      }),
    );
    if (failure) throw failure.error;
    return results as unknown as T;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
