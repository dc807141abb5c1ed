import type { RowMask } from '../decode/row-masks.js';

/** What a constrained row of a running batch may take next: asked for once a step, and there when its thread has answered. */
export class NextMask {
  /** [vocabSize], added to the row's logits in the next step. */
  values: Float32Array | undefined;
  /** Why the row cannot go on. */
  failure: unknown;
  private asking: Promise<void> | undefined;
  /** Counts the times the row began; what was asked before is of no use. */
  private beginnings = 0;

  constructor(private readonly mask: RowMask) {}

  get isReady(): boolean {
    return this.values !== undefined || this.failure !== undefined;
  }

  /** Resolves when it {@link isReady}. */
  ask(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    return (this.asking ??= this.fetch());
  }

  /** @returns the token that takes the place of the one that was chosen under {@link values} */
  chosen(token: number): number {
    this.values = undefined;
    return this.mask.chosen(token);
  }

  restart(): void {
    this.beginnings++;
    this.values = this.failure = this.asking = undefined;
    this.mask.restart();
  }

  private async fetch(): Promise<void> {
    const { beginnings } = this;
    try {
      const values = await this.mask.next();
      if (beginnings === this.beginnings) this.values = values;
    } catch (error) {
      if (beginnings === this.beginnings) this.failure = error;
    } finally {
      if (beginnings === this.beginnings) this.asking = undefined;
    }
  }
}
