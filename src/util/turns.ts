import { abortable } from './abortable.js';
import { throwIfAborted } from './errors.js';

/** Lets a few of those who ask work at once, in the order of asking. */
export class Turns {
  private free: number;
  private readonly waiting = new Set<() => void>();

  constructor(count: number) {
    this.free = count;
  }

  /** @throws HintError ABORTED, or what the work throws */
  async run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    throwIfAborted(signal);
    if (this.free > 0) this.free--;
    else await this.turn(signal);
    try {
      return await work();
    } finally {
      this.passOn();
    }
  }

  private async turn(signal: AbortSignal | undefined): Promise<void> {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.waiting.add(wake);
    try {
      await abortable(woken, signal);
    } catch (error) {
      // A turn that came meanwhile is passed on.
      if (!this.waiting.delete(wake)) this.passOn();
      throw error;
    }
  }

  private passOn(): void {
    const [next] = this.waiting;
    if (next) {
      this.waiting.delete(next);
      next();
    } else this.free++;
  }
}
