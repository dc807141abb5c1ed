import { HintError } from '../../util/errors.js';
import type { EncoderDecoderModel } from '../../model/hint/encoder-decoder-model.js';
import type { Program } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { MOST_STEPS, RowChoices } from './row-choices.js';
import { encodeNewcomers, taskRowsOf, type Newcomers, type Segment } from './cohort.js';

/** The recorded step of a set of rows and its state on the device; replaced when the rows or their caches change. */
interface Stage {
  choices: RowChoices;
  program: Program;
}

/**
 * Rows of any tasks that are decoded together. Rows join and leave between two pieces of a few steps. What
 * reads the model's weights runs over all rows at once; what belongs to a task or to rows of one age (adapters, prefixes,
 * attention) runs over their stretch of the batch, with tensors that stay where compiling has put them.
 */
export class RunningBatch {
  private segments: Segment[] = [];
  private stage: Stage | undefined;
  private clearings = 0;
  /** The stage that is being recorded; nothing that it reads may go meanwhile. */
  private beginning: Promise<Stage> | undefined;
  /** Milliseconds of a step, as measured last. */
  private stepTime: number | undefined;

  /** @param pieceMilliseconds how long a newcomer may have to wait for a piece to end */
  constructor(
    private readonly model: EncoderDecoderModel,
    private readonly pieceMilliseconds: number,
  ) {}

  /** Rows that are decoded further. */
  get activeRows(): number {
    return this.segments.reduce((total, segment) => total + segment.activeRows, 0);
  }

  get segmentCount(): number {
    return this.segments.length;
  }

  /** Input tokens whose keys and values it keeps. */
  get inputTokens(): number {
    return this.segments.reduce((total, segment) => total + segment.inputTokens, 0);
  }

  /**
   * Enqueues reading the inputs of newcomers; the next step decodes them too.
   *
   * @throws what cannot be enqueued; the newcomers' holds are then given back and the batch is as before
   */
  async join(newcomers: readonly Newcomers[]): Promise<void> {
    let joined: Segment[];
    try {
      joined = await encodeNewcomers(this.model, newcomers);
    } catch (error) {
      for (const { hold } of newcomers) hold.release();
      throw error;
    }
    const order = new Map<unknown, number>();
    const all = [...this.segments, ...joined];
    for (const { hold } of all) if (!order.has(hold.compiled)) order.set(hold.compiled, order.size);
    // A task's rows lie side by side, so that its adapters are multiplied by once.
    this.segments = all.sort(
      (a, b) => (order.get(a.hold.compiled) as number) - (order.get(b.hold.compiled) as number),
    );
    this.leaveStage();
  }

  /**
   * Decodes a few more tokens of every row. Rows that have ended are no longer part of it.
   *
   * @throws HintError NUMERIC, OUT_OF_MEMORY, and what reading the inputs failed with; then {@link clear} it
   */
  async advance(): Promise<void> {
    const isFirst = this.stage === undefined;
    this.arrange();
    if (this.segments.length === 0) return;
    const { choices, program } = this.stage ?? (await (this.beginning = this.begin()));
    const room = Math.min(...this.segments.map(({ capacity, position }) => capacity - position));
    const steps = Math.min(this.pieceLength(), room);
    const began = performance.now();
    await choices.replay(program, steps);
    // The first piece also waits for the inputs to be read.
    if (!isFirst) this.stepTime = (performance.now() - began) / steps;
    for (const segment of this.segments) segment.position += steps;
  }

  /** Ends the batch, wherever it is. */
  async clear(): Promise<void> {
    this.clearings++;
    await this.beginning?.catch(() => undefined);
    this.leaveStage();
    for (const segment of this.segments) segment.dispose();
    this.segments = [];
  }

  private pieceLength(): number {
    const steps = this.stepTime === undefined ? 2 : Math.round(this.pieceMilliseconds / this.stepTime);
    return Math.max(1, Math.min(MOST_STEPS, steps));
  }

  /** Lets ended segments go and gives the others room. */
  private arrange(): void {
    const alive = this.segments.filter((segment) => segment.activeRows > 0);
    let changed = alive.length < this.segments.length;
    if (changed) {
      this.leaveStage();
      for (const segment of this.segments) if (!alive.includes(segment)) segment.dispose();
      this.segments = alive;
    }
    for (const segment of alive) changed = segment.makeRoom() || changed;
    if (changed) this.leaveStage();
  }

  private leaveStage(): void {
    if (!this.stage) return;
    this.stage.program.dispose();
    this.stage.choices.dispose();
    this.stage = undefined;
  }

  /** Puts the state of all rows on the device and records, in slices, the step that advances it. */
  private async begin(): Promise<Stage> {
    const { clearings, segments } = this;
    const { device, config } = this.model;
    const { decoderStartTokenId, eosTokenId } = config;
    const choices = new RowChoices(device, segments, decoderStartTokenId, eosTokenId);
    let program: Program | undefined;
    try {
      ({ program } = await device.recordInSlices(device.tidied(this.step(choices))));
      if (this.clearings === clearings) return (this.stage = { choices, program });
      throw new HintError('ABORTED', 'The batch was ended.');
    } catch (error) {
      program?.dispose();
      choices.dispose();
      throw error;
    }
  }

  private *step(choices: RowChoices): Sliced<void> {
    const { segments } = this;
    choices.choose(yield* this.logits(choices.token));
    for (const segment of segments) segment.advance();
  }

  /** Enqueues a step: logits [rows, vocabSize]. */
  private *logits(token: Tensor): Sliced<Tensor> {
    const { segments } = this;
    const { t5 } = this.model;
    const count = token.size;
    const offsets = Int32Array.from({ length: count + 1 }, (_, i) => i);
    let at = 0;
    const parts = segments.map((segment) => segment.keys([at, (at += segment.rows.length)]));
    const tasks = taskRowsOf(segments, offsets);
    return t5.logits(yield* t5.decode({ ids: token, offsets }, { kind: 'caches', parts }, { tasks }));
  }
}
