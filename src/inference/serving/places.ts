import { HintError, throwIfAborted } from '../../util/errors.js';

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

/** A number of places that are taken and given back. Waiting callers get them in the order of asking. */
export class Places {
  private readonly waiters = new Set<Waiter>();
  private taken = 0;

  constructor(private readonly count: number) {}

  /** Places taken. */
  get used(): number {
    return this.taken;
  }

  /** Takes a place if there is one and nobody waits for it. */
  tryTake(): boolean {
    if (this.taken >= this.count) return false;
    this.taken++;
    return true;
  }

  /**
   * Takes a place, as soon as there is one.
   *
   * @throws HintError ABORTED
   */
  async take(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    if (this.tryTake()) return;
    let abort = (): void => undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter = { resolve, reject };
        this.waiters.add(waiter);
        abort = () => {
          this.waiters.delete(waiter);
          reject(new HintError('ABORTED', 'The operation was aborted.', { cause: signal?.reason }));
        };
        signal?.addEventListener('abort', abort, { once: true });
      });
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Gives a place back, or hands it to the caller that has waited longest. */
  give(): void {
    for (const waiter of this.waiters) {
      this.waiters.delete(waiter);
      waiter.resolve();
      return;
    }
    this.taken--;
  }

  /** Rejects all waiting callers. */
  fail(error: unknown): void {
    for (const waiter of this.waiters) waiter.reject(error);
    this.waiters.clear();
  }
}
