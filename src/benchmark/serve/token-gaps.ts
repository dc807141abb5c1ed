import { setTimeout as sleep } from 'node:timers/promises';

/** What compiling an instruction does to the streams of others, milliseconds between the arrivals of tokens. */
export interface TokenGaps {
  /** The longest gap of any stream while nothing is compiled. */
  readonly quiet: number;
  /** The longest while an instruction is compiled. */
  readonly compiling: number;
  /** Seconds that the compilation took. */
  readonly compileSeconds: number;
}

/** Streams and an instruction to compile beside them. */
export interface GapTarget {
  readonly url: string;
  /** Bodies of streams that go on for longer than is measured, one each. */
  readonly streams: readonly string[];
  /** Bodies that register tasks, each with a new instruction. */
  readonly compile: readonly string[];
  /** Seconds of quiet that are measured first. */
  readonly seconds: number;
}

/**
 * Measures how long streams wait for their tokens while instructions are compiled one after another.
 *
 * @throws Error for an answer that is none
 */
export async function tokenGaps({ url, streams, compile, seconds }: GapTarget): Promise<TokenGaps> {
  const ending = new AbortController();
  const watch = { longest: 0 };
  const begun = streams.map((body) => followed(url, body, watch, ending.signal));
  try {
    await Promise.all(begun.map(({ first }) => first));
    watch.longest = 0;
    await sleep(seconds * 1000);
    const quiet = watch.longest;
    watch.longest = 0;
    let compileSeconds = 0;
    for (const body of compile) {
      const began = performance.now();
      const answer = await fetch(`${url}/v1/tasks`, { method: 'POST', headers: HEADERS, body });
      if (answer.status !== 201) throw new Error(`compiling got ${answer.status}: ${await answer.text()}`);
      compileSeconds += (performance.now() - began) / 1000 / compile.length;
    }
    return { quiet, compiling: watch.longest, compileSeconds };
  } finally {
    ending.abort();
    await Promise.allSettled(begun.map(({ whole }) => whole));
  }
}

const HEADERS = { 'content-type': 'application/json' };

/** Reads a stream to its end and notes its longest gap. */
function followed(
  url: string,
  body: string,
  watch: { longest: number },
  signal: AbortSignal,
): { first: Promise<void>; whole: Promise<void> } {
  let arrived = (): void => undefined;
  const heard = new Promise<void>((resolve) => (arrived = resolve));
  const whole = (async () => {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: HEADERS,
      body,
      signal,
    });
    if (answer.status !== 200) throw new Error(`a stream got ${answer.status}: ${await answer.text()}`);
    let last: number | undefined;
    const reader = answer.body!.getReader();
    while (!(await reader.read()).done) {
      const now = performance.now();
      if (last !== undefined) watch.longest = Math.max(watch.longest, now - last);
      last = now;
      arrived();
    }
  })();
  whole.catch(() => undefined);
  return { first: Promise.race([heard, whole]), whole };
}
