/** A token and what came before it; hypotheses share their beginnings. */
interface Node {
  token: number;
  logProb: number;
  before: Node | undefined;
}

/** A hypothesis that goes on. */
export interface LiveBeam {
  node: Node | undefined;
  /** Sum of the log-probabilities of its tokens. */
  total: number;
  /** Which live beam of the step before it continues. */
  parent: number;
}

/** What a search ended with. */
export interface BeamResult {
  tokens: number[];
  /** Per token its log-probability. */
  logProbs: number[];
  /** Sum of the log-probabilities over the brevity penalty of the length. */
  score: number;
  /** Whether it ends with the end of sequence. */
  finished: boolean;
}

/**
 * t5x's beam search over one input (method §9.2), without the model: feed it what the model thinks of the live beams.
 * The 2n best continuations of all live beams are looked at; those that end compete, by log p / ((5 + n) / 6)^alpha,
 * for n finished places; the n best others live on. With one beam an end ranked second can win.
 */
export class BeamSearch {
  /** Best first; at most `numBeams`. */
  live: readonly LiveBeam[] = [{ node: undefined, total: 0, parent: 0 }];
  private finished: { node: Node; score: number }[] = [];
  private length = 0;

  /** @param maxTokens most tokens of a hypothesis, the end of sequence included */
  constructor(
    private readonly numBeams: number,
    private readonly brevityExponent: number,
    private readonly maxTokens: number,
    private readonly ends: ReadonlySet<number>,
  ) {}

  /** Continuations that the search looks at, per live beam and in all. */
  get candidates(): number {
    return 2 * this.numBeams;
  }

  /** Whether no live beam can still beat a finished one, by the rule of t5x, or the length is reached. */
  get done(): boolean {
    const [best] = this.live;
    if (this.length >= this.maxTokens || !best) return true;
    const worst = this.finished[this.numBeams - 1];
    return worst !== undefined && worst.score > best.total / this.brevityPenalty(this.maxTokens + 1);
  }

  /**
   * One token further.
   *
   * @param ids per live beam its `width` most probable tokens, most probable first; `at` is where a beam's begin
   * @param logProbs their log-probabilities, laid out as `ids`
   */
  advance(ids: Int32Array, logProbs: Float32Array, at: (beam: number) => number, width: number): void {
    this.length++;
    const all: { node: Node; total: number; parent: number }[] = [];
    this.live.forEach(({ node, total }, parent) => {
      for (let i = at(parent); i < at(parent) + width; i++) {
        const logProb = logProbs[i] as number;
        if (logProb === -Infinity) break;
        all.push({
          node: { token: ids[i] as number, logProb, before: node },
          total: total + logProb,
          parent,
        });
      }
    });
    // The sort is stable: among equal scores, the better beam and the lower id come first.
    const best = all.sort((a, b) => b.total - a.total).slice(0, this.candidates);
    const penalty = this.brevityPenalty(this.length);
    for (const { node, total } of best)
      if (this.ends.has(node.token)) this.finished.push({ node, score: total / penalty });
    this.finished = this.finished.sort((a, b) => b.score - a.score).slice(0, this.numBeams);
    this.live = best.filter(({ node }) => !this.ends.has(node.token)).slice(0, this.numBeams);
  }

  /** The best finished hypothesis; where there is none, the best live one. */
  result(): BeamResult {
    const [finished] = this.finished;
    const [live] = this.live;
    const tokens: number[] = [];
    const logProbs: number[] = [];
    for (let node = finished ? finished.node : live?.node; node; node = node.before) {
      tokens.push(node.token);
      logProbs.push(node.logProb);
    }
    const score = finished?.score ?? (live?.total ?? 0) / this.brevityPenalty(this.length);
    return {
      tokens: tokens.reverse(),
      logProbs: logProbs.reverse(),
      score,
      finished: finished !== undefined,
    };
  }

  private brevityPenalty(length: number): number {
    return ((5 + length) / 6) ** this.brevityExponent;
  }
}
