import { createYielder } from '../../util/event-loop-lag.js';

/** What was generated for one input. */
export interface GeneratedTokens {
  /** The ids, the end-of-sequence id included when there is one. */
  tokens: Int32Array;
  /** False when the row was cut at the limit before the model, or a stop string, ended it. */
  finished: boolean;
  /** Per token its log-probability, where asked for. */
  logProbs?: Float32Array;
  /** Of beam search: the sum of the log-probabilities over the brevity penalty. */
  score?: number;
}

/** Looks at rows while they are generated. */
export interface RowWatch {
  /** The next token of a row; `logProb` where they are asked for. Returning true ends the row with this token. */
  token(row: number, token: number, logProb: number | undefined): boolean;
  /** The row has ended: nothing more comes of it. */
  end(row: number, generated: GeneratedTokens): void;
  /** Whether it wants each token as soon as it is there, not a few at a time. */
  eager?: boolean;
}

/** The tokens of a batch's rows as they become known, told to a watch in order. */
export class RowLog {
  private readonly tokens: number[][];
  private readonly logProbs: number[][];
  private readonly ended: boolean[];
  private readonly finished: boolean[];
  private readonly scores = new Map<number, number>();
  private readonly breathe = createYielder();

  constructor(
    count: number,
    /** Tokens that end a row. */
    readonly ends: ReadonlySet<number>,
    private readonly wantsLogProbs: boolean,
    private readonly watch: RowWatch | undefined,
  ) {
    this.tokens = Array.from({ length: count }, () => []);
    this.logProbs = Array.from({ length: count }, () => []);
    this.ended = new Array<boolean>(count).fill(false);
    this.finished = new Array<boolean>(count).fill(false);
  }

  hasEnded(row: number): boolean {
    return this.ended[row] === true;
  }

  lastToken(row: number): number | undefined {
    return this.tokens[row]?.at(-1);
  }

  /** Lets the event loop turn when telling the watch has taken long. */
  async pause(): Promise<void> {
    if (this.watch) await this.breathe();
  }

  /** Adds a token to a row that has not ended; the end of sequence, and the watch, end it. */
  add(row: number, token: number, logProb: number | undefined): void {
    (this.tokens[row] as number[]).push(token);
    if (logProb !== undefined) (this.logProbs[row] as number[]).push(logProb);
    const stops = this.watch?.token(row, token, this.wantsLogProbs ? logProb : undefined) === true;
    if (stops || this.ends.has(token)) this.end(row, true);
  }

  /** Ends a row, if it has not ended. */
  end(row: number, finished: boolean): void {
    if (this.ended[row]) return;
    this.ended[row] = true;
    this.finished[row] = finished;
    this.watch?.end(row, this.result(row));
  }

  setScore(row: number, score: number): void {
    this.scores.set(row, score);
  }

  result(row: number): GeneratedTokens {
    const score = this.scores.get(row);
    return {
      tokens: Int32Array.from(this.tokens[row] as number[]),
      finished: this.finished[row] === true,
      ...(this.wantsLogProbs ? { logProbs: Float32Array.from(this.logProbs[row] as number[]) } : {}),
      ...(score === undefined ? {} : { score }),
    };
  }

  results(): GeneratedTokens[] {
    return this.tokens.map((_, row) => this.result(row));
  }
}
