import { throwIfAborted } from './errors.js';

/**
 * Waits for `promise`, or until `signal` is aborted. Work that is already queued on a device cannot be taken back; this
 * lets the caller go on at once while that work runs out. When nobody waits for `promise` any more, or `signal` was aborted
 * before the call, its rejection does not count as unhandled.
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
 * Runs several works at once. When one fails, the others are aborted, and this rejects only when all have ended: what they
 * work on can then be given back.
 *
 * @returns in the order of the works
 * @throws what the first work to fail does; HintError `ABORTED`
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
