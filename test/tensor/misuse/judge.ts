import { HintError } from '../../../src/util/errors.js';

/** Codes that a misuse may end in: all but the one that means that nobody foresaw it. */
const CODES = new Set([
  'INVALID_ARGUMENT',
  'INVALID_SHAPE',
  'INVALID_TOKEN',
  'NOT_SUPPORTED',
  'NUMERIC',
  'OUT_OF_MEMORY',
  'ABORTED',
]);

/** A place outside the mapped file is the file's fault: it has been cut off since its header was read. */
const CODES_OF_A_CALL: Readonly<Record<string, string>> = {
  'native.mapTensor': 'INVALID_FILE',
  'MappedFile.tensor': 'INVALID_FILE',
};

/** What the traps throw that callers put into their arguments: theirs to get back. */
export const TRAP = new Error('thrown by a trap of the test');

/** Longest that work which is enqueued may take before it counts as a hang. */
const PATIENCE_MILLISECONDS = 60_000;

export interface Tally {
  calls: number;
  done: number;
  refused: number;
}

/** Counts calls by name and keeps what must not be: errors that are not the engine's own. */
export class Judge {
  readonly byName = new Map<string, Tally>();
  /** What refusals said. */
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

  /** Names among `names` that were never done. */
  missing(names: readonly string[]): string[] {
    return names.filter((name) => !this.byName.get(name)?.done);
  }

  /**
   * Runs a call, which counts as done when it returns and what it promises comes true.
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
    // Through Device and Tensor also the class is the engine's.
    const isClass = /^(native|op|try|backward|search)\.(?!ops\.)/.test(name) || error instanceof HintError;
    if (!isOurs || !isClass) this.faults.push(`${name}: ${code ?? 'no code'}: ${stack ?? String(error)}`);
    else this.onRefusal?.(message);
  }

  /** Waits for everything enqueued; throws when something was no refusal of the engine's, or does not end. */
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
