/** Counters of the energy that a part of the machine takes. */
export interface EnergyCounter {
  /** As reports name it: `CPU packages`. */
  readonly name: string;
  /**
   * Joules since the counter was opened.
   *
   * @throws HintError IO, NOT_SUPPORTED where its counters cannot be read any more
   */
  joules(): Promise<number>;
}

/** A counter, or a sentence that says why there is none and what to do about it. */
export type OpenedCounter =
  | { readonly counter: EnergyCounter; readonly unread?: undefined }
  | { readonly counter?: undefined; readonly unread: string };
