/** Events from a producer that never waits to a consumer that iterates. */
export class EventQueue<T> {
  private events: T[] = [];
  private closed = false;
  private failure: { reason: unknown } | undefined;
  private wake: (() => void) | undefined;

  push(event: T): void {
    this.events.push(event);
    this.wake?.();
  }

  /** Ends the iteration once everything pushed has been taken. */
  close(): void {
    this.closed = true;
    this.wake?.();
  }

  /** As close, but the iteration ends by throwing `reason`. */
  fail(reason: unknown): void {
    this.failure = { reason };
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const events = this.events;
      this.events = [];
      yield* events;
      if (this.events.length > 0) continue;
      if (this.failure) throw this.failure.reason;
      if (this.closed) return;
      await new Promise<void>((resolve) => (this.wake = resolve));
      this.wake = undefined;
    }
  }
}
