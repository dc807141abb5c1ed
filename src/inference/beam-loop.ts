import type { Program } from '../tensor/device.js';
import * as ops from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { BeamSearch } from './beam-search.js';
import { createCaches, disposeCaches, FIRST_CAPACITY, isWorthDropping, moveCaches } from './decode-caches.js';
import type { Cache, DecodeNetwork, DecodeStep } from './decode-network.js';
import type { RowLog } from './row-watch.js';

/** The inputs still searched, each with `numBeams` rows on the device, one for each live hypothesis. */
interface Stage {
  /** Rows of the batch, ascending. */
  inputs: number[];
  capacity: number;
  caches: Cache[];
  /** i32 [rows]: the last token of each hypothesis. */
  token: Tensor;
  /** i32 [rows]: where each hypothesis stood in the step before. */
  parents: Tensor;
  position: Tensor;
  /** [rows, k], largest first. */
  best: { ids: Tensor; logProbs: Tensor };
  step: DecodeStep;
  program: Program;
}

/**
 * Beam search over a batch: a recorded step takes the beams to their new places, runs the decoder and keeps the best
 * continuations of each beam, the only numbers that JavaScript looks at; {@link BeamSearch} chooses between them.
 */
export class BeamLoop {
  private position = 0;
  private readonly searches: BeamSearch[];
  private readonly width: number;
  private stage: Stage;

  constructor(
    private readonly network: DecodeNetwork,
    count: number,
    private readonly maxTokens: number,
    private readonly numBeams: number,
    brevityExponent: number,
    vocabSize: number,
    private readonly log: RowLog,
  ) {
    this.width = Math.min(2 * numBeams, vocabSize);
    this.searches = Array.from({ length: count }, (_, row) => {
      const limit = Math.min(maxTokens, network.room(row));
      return new BeamSearch(numBeams, brevityExponent, limit, network.eosTokenId);
    });
    const capacity = Math.min(maxTokens, FIRST_CAPACITY);
    const inputs = this.searches.map((_, row) => row);
    this.stage = this.begin(inputs, capacity, createCaches(network, count * numBeams, capacity));
  }

  get done(): boolean {
    return this.stage.inputs.every((input) => this.log.hasEnded(input));
  }

  /** One token further for every input. */
  async advance(): Promise<void> {
    this.repack();
    const { inputs, token, parents, best, program } = this.stage;
    const { numBeams, width, network } = this;
    program.replay(1);
    const [ids, logProbs] = await Promise.all([best.ids.readIntegers(), best.logProbs.read()]);
    this.position++;
    for (const [i, input] of inputs.entries()) {
      if (this.log.hasEnded(input)) continue;
      await this.log.pause();
      const search = this.searches[input] as BeamSearch;
      if (!search.done) search.advance(ids, logProbs, (beam) => (i * numBeams + beam) * width, width);
      if (search.done) this.finish(input, search);
    }
    network.device.write(token, this.lastTokens(inputs));
    network.device.write(parents, this.parentRows(inputs));
  }

  dispose(): void {
    this.release(this.stage);
  }

  private finish(input: number, search: BeamSearch): void {
    const { tokens, logProbs, score, finished } = search.result();
    this.log.setScore(input, score);
    tokens.forEach((token, i) => {
      if (!this.log.hasEnded(input)) this.log.add(input, token, logProbs[i]);
    });
    this.log.end(input, finished);
  }

  /** Per row its hypothesis' last token; rows without a hypothesis feed any token that exists. */
  private lastTokens(inputs: readonly number[]): Int32Array {
    return Int32Array.from(
      inputs.flatMap((input) =>
        this.beams((beam) => {
          const live = this.searches[input]?.live[beam];
          return live?.node?.token ?? this.network.startToken(input);
        }),
      ),
    );
  }

  /** Per row the row that its hypothesis continues. */
  private parentRows(inputs: readonly number[]): Int32Array {
    return Int32Array.from(
      inputs.flatMap((input, i) =>
        this.beams((beam) => i * this.numBeams + (this.searches[input]?.live[beam]?.parent ?? beam)),
      ),
    );
  }

  private beams(make: (beam: number) => number): number[] {
    return Array.from({ length: this.numBeams }, (_, beam) => make(beam));
  }

  /** Lets finished inputs go and makes room for more tokens, where either is due. */
  private repack(): void {
    const old = this.stage;
    const active = old.inputs.filter((input) => !this.log.hasEnded(input));
    const full = this.position === old.capacity;
    const { numBeams } = this;
    if (!full && !isWorthDropping(old.inputs.length * numBeams, active.length * numBeams)) return;
    const capacity = full ? Math.min(this.maxTokens, old.capacity * 2) : old.capacity;
    const parents = this.parentRows(old.inputs);
    const sources = active.flatMap((input) => {
      const first = old.inputs.indexOf(input) * numBeams;
      return [...parents.subarray(first, first + numBeams)];
    });
    const caches = moveCaches(this.network.device, old.caches, sources, this.position, capacity);
    this.stage = this.begin(active, capacity, caches);
    this.release(old);
  }

  /** Puts the beams of `inputs` on the device, in their places, and records the step that advances them. */
  private begin(inputs: number[], capacity: number, caches: Cache[]): Stage {
    const { network, numBeams } = this;
    const { device } = network;
    const rows = inputs.flatMap((input) => this.beams(() => input));
    const integers = (values: Int32Array): Tensor => device.keep(device.tensor(values, [values.length]));
    const token = integers(this.lastTokens(inputs));
    const parents = integers(Int32Array.from(rows.keys()));
    const position = integers(Int32Array.of(this.position));
    const step = network.begin(rows, this.position);
    let best: Stage['best'] | undefined;
    const program = device.record(() => {
      best = device.tidy(() => {
        if (numBeams > 1)
          for (const { key, value } of caches)
            for (const cache of [key, value]) ops.reorderCache(cache, parents, position, numBeams);
        const kept = ops.topK(step.logits({ token, position, caches }), this.width);
        ops.increment(position);
        return kept;
      });
    });
    const kept = best as unknown as Stage['best'];
    device.keep(kept.ids);
    device.keep(kept.logProbs);
    return { inputs, capacity, caches, token, parents, position, best: kept, step, program };
  }

  private release({ caches, token, parents, position, best, step, program }: Stage): void {
    program.dispose();
    step.dispose();
    disposeCaches(caches);
    for (const tensor of [token, parents, position, best.ids, best.logProbs]) tensor.dispose();
  }
}
