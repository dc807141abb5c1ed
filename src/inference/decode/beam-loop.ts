import { HintError } from '../../util/errors.js';
import type { Program } from '../../tensor/device.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { BeamSearch } from './beam-search.js';
import { createCaches, disposeCaches, FIRST_CAPACITY, isWorthDropping, moveCaches } from './decode-caches.js';
import type { Cache, DecodeNetwork, DecodeStep } from '../contract/decode-network.js';
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
  private stage: Stage | undefined;
  /** The stage that is being recorded; nothing that it reads may go meanwhile. */
  private beginning: Promise<Stage> | undefined;
  private isDisposed = false;
  /** Rows of the batch that are still searched, ascending. */
  private inputs: number[];

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
      return new BeamSearch(numBeams, brevityExponent, limit, log.ends);
    });
    this.inputs = this.searches.map((_, row) => row);
  }

  get done(): boolean {
    return this.inputs.every((input) => this.log.hasEnded(input));
  }

  /** One token further for every input. */
  async advance(): Promise<void> {
    const { inputs, token, parents, best, program } = await this.ready();
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

  async dispose(): Promise<void> {
    this.isDisposed = true;
    await this.beginning?.catch(() => undefined);
    if (this.stage) this.release(this.stage);
    this.stage = undefined;
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

  /** The stage of the next step: the last one, unless inputs are to be let go or there is no room for more tokens. */
  private async ready(): Promise<Stage> {
    const old = this.stage;
    const active = this.inputs.filter((input) => !this.log.hasEnded(input));
    const full = this.position === (old?.capacity ?? 0);
    const { numBeams, network } = this;
    if (old && !full && !isWorthDropping(this.inputs.length * numBeams, active.length * numBeams)) return old;
    const capacity = full
      ? Math.min(this.maxTokens, old ? old.capacity * 2 : FIRST_CAPACITY)
      : (old as Stage).capacity;
    const parents = this.parentRows(this.inputs);
    const sources = active.flatMap((input) => {
      const first = this.inputs.indexOf(input) * numBeams;
      return [...parents.subarray(first, first + numBeams)];
    });
    const caches = old
      ? moveCaches(network.device, old.caches, sources, this.position, capacity)
      : createCaches(network, sources.length, capacity);
    const stage = await (this.beginning = this.begin(active, capacity, caches));
    if (old) this.release(old);
    if (this.isDisposed) {
      this.release(stage);
      throw new HintError('ABORTED', 'The decoding was given up.');
    }
    this.inputs = active;
    return (this.stage = stage);
  }

  /** Puts the beams of `inputs` on the device, in their places, and records the step that advances them. */
  private async begin(inputs: number[], capacity: number, caches: Cache[]): Promise<Stage> {
    const { network, numBeams, width } = this;
    const { device } = network;
    const rows = inputs.flatMap((input) => this.beams(() => input));
    const integers = (values: Int32Array): Tensor => device.keep(device.tensor(values, [values.length]));
    const token = integers(this.lastTokens(inputs));
    const parents = integers(Int32Array.from(rows.keys()));
    const position = integers(Int32Array.of(this.position));
    const step = network.begin(rows, this.position);
    function* advance(): Sliced<Stage['best']> {
      if (numBeams > 1)
        for (const { key, value } of caches)
          for (const cache of [key, value]) ops.reorderCache(cache, parents, position, numBeams);
      const best = ops.topK(yield* step.logits({ token, position, caches }), width);
      ops.increment(position);
      return best;
    }
    const { program, result: best } = await device.recordInSlices(device.tidied(advance()));
    return { inputs, capacity, caches, token, parents, position, best, step, program };
  }

  private release({ caches, token, parents, position, best, step, program }: Stage): void {
    program.dispose();
    step.dispose();
    disposeCaches(caches);
    for (const tensor of [token, parents, position, best.ids, best.logProbs]) tensor.dispose();
  }
}
