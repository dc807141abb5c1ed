import { setTimeout as sleep } from 'node:timers/promises';
import { HintError } from '../../util/errors.js';

/** What compiling an instruction does to the streams of others, milliseconds between the arrivals of tokens. */
export interface TokenGaps {
  /** The longest wait of any stream while nothing is compiled. */
  readonly quiet: number;
  /** The longest while an instruction is compiled. */
  readonly compiling: number;
  /** Seconds that the compilation took. */
  readonly compileSeconds: number;
}

/** Streams and instructions to compile beside them. */
export interface GapTarget {
  readonly url: string;
  /** Bodies of streams that go on for longer than is measured, one each. */
  readonly streams: readonly string[];
  /** Bodies that register tasks, each with a new instruction. */
  readonly compile: readonly string[];
  /** Seconds of quiet that are measured first. */
  readonly seconds: number;
}

const HEADERS = { 'content-type': 'application/json' };

/**
 * Measures how long streams wait for their tokens while instructions are compiled one after another.
 *
 * @throws HintError NOT_SUPPORTED for an answer that is none
 */
export async function tokenGaps({ url, streams, compile, seconds }: GapTarget): Promise<TokenGaps> {
  const ending = new AbortController();
  const followed = streams.map((body) => new FollowedStream(url, body, ending.signal));
  const longest = (): number => Math.max(...followed.map((stream) => stream.longestWait()));
  try {
    await Promise.all(followed.map(({ begun }) => begun));
    longest();
    await sleep(seconds * 1000);
    const quiet = longest();
    const began = performance.now();
    for (const body of compile) {
      const answer = await fetch(`${url}/v1/tasks`, { method: 'POST', headers: HEADERS, body });
      if (answer.status !== 201) throw refused('Compiling', answer.status, await answer.text());
    }
    const compileSeconds = (performance.now() - began) / 1000 / compile.length;
    return { quiet, compiling: longest(), compileSeconds };
  } finally {
    ending.abort();
    await Promise.allSettled(followed.map(({ whole }) => whole));
  }
}

function refused(what: string, status: number, text: string): HintError {
  return new HintError('NOT_SUPPORTED', `${what} got ${status}: ${text.slice(0, 300)}`);
}

/** A stream that is read to its end. */
class FollowedStream {
  /** Resolves with its first token. */
  readonly begun: Promise<void>;
  readonly whole: Promise<void>;
  private longest = 0;
  private last = NaN;
  private hasEnded = false;

  constructor(url: string, body: string, signal: AbortSignal) {
    let arrived = (): void => undefined;
    const first = new Promise<void>((resolve) => (arrived = resolve));
    this.whole = this.follow(url, body, signal, () => arrived());
    this.whole.catch(() => undefined);
    this.begun = Promise.race([first, this.whole]);
  }

  /** The longest wait for a token since it was last asked, milliseconds, one that goes on included. */
  longestWait(): number {
    const now = performance.now();
    const found = this.hasEnded ? this.longest : Math.max(this.longest, now - this.last);
    this.longest = 0;
    this.last = now;
    return found;
  }

  private async follow(url: string, body: string, signal: AbortSignal, arrived: () => void): Promise<void> {
    const options = { method: 'POST', headers: HEADERS, body, signal };
    const answer = await fetch(`${url}/v1/chat/completions`, options);
    if (answer.status !== 200) throw refused('A stream', answer.status, await answer.text());
    const reader = answer.body!.getReader();
    while (!(await reader.read()).done) {
      const now = performance.now();
      if (Number.isFinite(this.last)) this.longest = Math.max(this.longest, now - this.last);
      this.last = now;
      arrived();
    }
    this.hasEnded = true;
  }
}
