import { Turns } from '../../util/turns.js';
import type { ConstraintSource } from './constraint.js';
import { LibraryThread } from './library-thread.js';
import type { GrammarRequest, Vocabulary } from './messages.js';

/** Constraints whose rules are kept, and the most characters of such rules. */
const KEPT = 64;
const MOST_KEPT_CHARACTERS = 64 * 1024;

/** Where answers follow a constraint. */
export interface GrammarSession {
  readonly number: number;
  /** Of the thread. */
  readonly generation: number;
}

/**
 * Reads constraints and follows answers through them, in two threads: the library is broken by every constraint that it
 * refuses, so that what reads them is replaced then, and what answers follow knows only those that were read before.
 */
export class GrammarThread {
  private readonly reader: LibraryThread;
  private readonly follower: LibraryThread;
  // What is given up while it waits never takes its time, of which each may take much.
  private readonly reading = new Turns(1);
  private readonly opening = new Turns(1);
  private readonly rules = new Map<string, string>();

  /** @param mostSeconds that reading a constraint, and each step of following it, may take */
  constructor(vocabulary: Vocabulary, mostSeconds?: number) {
    this.reader = new LibraryThread(undefined, mostSeconds);
    this.follower = new LibraryThread(vocabulary, mostSeconds);
  }

  /** Counts the threads that answers followed: sessions of an earlier one are gone. */
  get generation(): number {
    return this.follower.generation;
  }

  /**
   * Begins to follow a constraint.
   *
   * @param signal ends the wait for a turn
   * @throws HintError INVALID_ARGUMENT, NOT_SUPPORTED for a constraint that cannot be one, ABORTED; as {@link LibraryThread.ask}
   */
  async open(
    source: ConstraintSource,
    rows: number,
    signal: AbortSignal | undefined,
  ): Promise<GrammarSession> {
    const key = JSON.stringify(source);
    const rules =
      this.rules.get(key) ??
      (await this.reading.run(signal, () => this.reader.ask<string>({ kind: 'rules', source })));
    this.keep(key, rules);
    return this.opening.run(signal, async () => {
      const number = await this.follower.ask<number>({ kind: 'open', source, rules, rows });
      return { number, generation: this.generation };
    });
  }

  /** Asks for something of a session. @throws as {@link LibraryThread.ask} */
  async ask<T>(request: GrammarRequest, generation: number): Promise<T> {
    return this.follower.ask(request, generation);
  }

  async close(): Promise<void> {
    await Promise.all([this.reader.close(), this.follower.close()]);
  }

  private keep(key: string, rules: string): void {
    this.rules.delete(key);
    if (rules.length <= MOST_KEPT_CHARACTERS) this.rules.set(key, rules);
    const [oldest] = this.rules.keys();
    if (this.rules.size > KEPT && oldest !== undefined) this.rules.delete(oldest);
  }
}
