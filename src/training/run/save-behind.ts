/** Saves that are written while training goes on, one at a time. */
export class SavesBehind {
  private underWay: Promise<void> = Promise.resolve();
  private failure: { readonly error: unknown } | undefined;

  /**
   * Begins to write; {@link SavesBehind.end} has to come before.
   *
   * @param write what it reads must not change meanwhile
   */
  begin(write: () => Promise<void>): void {
    this.underWay = write().catch((error: unknown) => {
      this.failure = { error };
    });
  }

  /** @throws what a write threw, as soon as that is known */
  check(): void {
    if (this.failure) throw this.failure.error;
  }

  /** Waits until nothing is being written. @throws what a write threw */
  async end(): Promise<void> {
    await this.underWay;
    this.check();
  }
}
