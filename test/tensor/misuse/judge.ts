import { HintError } from '../../../src/util/errors.js';

/** Codes with which a misuse may end: all except INTERNAL. */
const CODES = new Set([
  'INVALID_ARGUMENT',
  'INVALID_SHAPE',
  'INVALID_TOKEN',
  'NOT_SUPPORTED',
  'NUMERIC',
  'OUT_OF_MEMORY',
  'ABORTED',
  'RANK_LOST',
]);

/** A position outside the mapped file is an error of the file, which was truncated after its header was read. */
const CODES_OF_A_CALL: Readonly<Record<string, string>> = {
  'native.mapTensor': 'INVALID_FILE',
  'MappedFile.tensor': 'INVALID_FILE',
};

/** The error that traps in arguments throw; the call must pass it to the caller. */
export const TRAP = new Error('thrown by a trap of the test');

/** Milliseconds after which enqueued work counts as a hang. */
const PATIENCE_MILLISECONDS = 60_000;

export interface Tally {
  calls: number;
  done: number;
  refused: number;
}

/** Counts calls by name and keeps errors that are not the engine's own, which are failures. */
export class Judge {
  readonly byName = new Map<string, Tally>();
  /** Called with the messages of refusals. */
  onRefusal: ((message: string) => void) | undefined;
  private pending: Promise<void>[] = [];

  get total(): Tally {
    const total = { calls: 0, done: 0, refused: 0 };
    for (const { calls, done, refused } of this.byName.values()) {
      total.calls += calls;
      total.done += done;
      total.refused += refused;
    }
    return total;
  }

  /** The names among `names` of which no call succeeded. */
  missing(names: readonly string[]): string[] {
    return names.filter((name) => !this.byName.get(name)?.done);
  }

  /**
   * Runs a call. It counts as done when it returns and its promise, if any, resolves.
   *
   * @param proof of work that was only enqueued: resolves when it has run
   */
  call<T>(name: string, body: () => T, proof?: (result: T) => Promise<unknown> | undefined): T | undefined {
    const tally = this.byName.get(name) ?? { calls: 0, done: 0, refused: 0 };
    this.byName.set(name, tally);
    tally.calls++;
    let result: T;
    let later: Promise<unknown> | undefined;
    try {
      result = body();
      later = result instanceof Promise ? (result as Promise<unknown>) : proof?.(result);
    } catch (error) {
      this.refuse(name, tally, error);
      return undefined;
    }
    if (later) {
      this.pending.push(
        later.then(
          () => void tally.done++,
          (error: unknown) => this.refuse(name, tally, error),
        ),
      );
    } else tally.done++;
    return result;
  }

  private readonly faults: string[] = [];

  private refuse(name: string, tally: Tally, error: unknown): void {
    tally.refused++;
    if (error === TRAP) return;
    const { code, message, stack } = error as Error & { code?: string };
    const isOurs =
      error instanceof Error && code !== undefined && (CODES.has(code) || CODES_OF_A_CALL[name] === code);
    // Calls of Device and Tensor must throw the engine's error class, too.
    const isClass = /^(native|op|try|backward|search)\.(?!ops\.)/.test(name) || error instanceof HintError;
    if (!isOurs || !isClass) this.faults.push(`${name}: ${code ?? 'no code'}: ${stack ?? String(error)}`);
    else this.onRefusal?.(message);
  }

  /** Waits for all enqueued work. Throws when it does not end, or when an error was no refusal of the engine. */
  async settle(): Promise<void> {
    const pending = this.pending;
    this.pending = [];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('Enqueued work does not end.')), PATIENCE_MILLISECONDS);
    });
    try {
      await Promise.race([Promise.all(pending), late]);
    } finally {
      clearTimeout(timer);
    }
    if (this.faults.length > 0) throw new Error(this.faults.splice(0).slice(0, 5).join('\n'));
  }
}
