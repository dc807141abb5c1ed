import { HintError } from '../../util/errors.js';
import { concatenate } from '../../data/batch.js';
import type { AnyModel } from '../../model/family.js';
import type { Program } from '../../tensor/device.js';
import type { Sliced } from '../../tensor/slices.js';
import type { DecodeNetwork } from '../contract/decode-network.js';
import type { JointDecoding } from '../contract/family.js';
import { MOST_STEPS, RowChoices } from './row-choices.js';
import { Cohort, type Newcomers } from './cohort.js';
import { isWaiting } from './row.js';

/** Milliseconds for which a step waits for what constrained rows may take; then the others go on without them. */
const PATIENCE = 20;

/**
 * Fewest steps of a piece before which rows have come or gone. Reading the inputs of newcomers takes about as long as a step: joined
 * after every step, as many requests would wait longer, in more cohorts.
 */
const FEWEST_FIRST = 2;

/** The recorded step of a set of rows and its state on the device; replaced when the rows or their caches change. */
interface Stage {
  /** Of the batch those that are decoded now; the others wait for what their rows may take. */
  cohorts: readonly Cohort[];
  choices: RowChoices;
  program: Program;
}

/**
 * Rows of any tasks that are decoded together. Rows join and leave between two pieces of a few steps. What
 * reads the model's weights runs over all rows at once; what belongs to a task or to rows of one age (adapters, prefixes,
 * attention) runs over their part of the batch, with tensors that stay where compiling has put them.
 */
export class RunningBatch {
  private cohorts: Cohort[] = [];
  private stage: Stage | undefined;
  private clearings = 0;
  /** The stage that is being recorded; nothing that it reads may go meanwhile. */
  private beginning: Promise<Stage> | undefined;
  /** Milliseconds of a step, as measured last. */
  private stepTime: number | undefined;

  /** @param pieceMilliseconds how long a newcomer may have to wait for a piece to end */
  constructor(
    private readonly model: AnyModel,
    private readonly decoding: JointDecoding,
    private readonly pieceMilliseconds: number,
  ) {}

  /** Rows that are decoded further. */
  get activeRows(): number {
    return this.cohorts.reduce((total, cohort) => total + cohort.activeRows, 0);
  }

  get cohortCount(): number {
    return this.cohorts.length;
  }

  /** Input tokens whose keys and values it keeps. */
  get inputTokens(): number {
    return this.cohorts.reduce((total, cohort) => total + cohort.inputTokens, 0);
  }

  /**
   * Enqueues reading the inputs of newcomers; the next step decodes them too.
   *
   * @throws what cannot be enqueued; the newcomers' holds are then given back and the batch is as before
   */
  async join(newcomers: readonly Newcomers[]): Promise<void> {
    let joined: Cohort[];
    try {
      const networks = await this.decoding.open(
        this.model,
        newcomers.map(({ hold, rows }) => ({
          tasks: hold.compiled,
          inputs: concatenate(rows.map(({ input }) => input)),
        })),
      );
      joined = newcomers.map((own, i) => new Cohort(networks[i] as DecodeNetwork, own));
    } catch (error) {
      for (const { hold } of newcomers) hold.release();
      throw error;
    }
    const order = new Map<unknown, number>();
    const all = [...this.cohorts, ...joined];
    for (const { hold } of all) if (!order.has(hold.compiled)) order.set(hold.compiled, order.size);
    // A task's rows lie side by side, so that its adapters are multiplied by once.
    this.cohorts = all.sort(
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
    const cohorts = await this.arrange();
    if (cohorts.length === 0) return;
    const isFirst = this.stage === undefined;
    const { choices, program } = this.stage ?? (await (this.beginning = this.begin(cohorts)));
    const room = Math.min(...cohorts.map(({ capacity, position }) => capacity - position));
    const steps = Math.min(this.pieceLength(isFirst), choices.mostSteps, room);
    const began = performance.now();
    await choices.replay(program, steps);
    // The first piece also waits for the inputs to be read.
    if (!isFirst) this.stepTime = (performance.now() - began) / steps;
    for (const cohort of cohorts) cohort.position += steps;
    // Now, so that newcomers have their room.
    this.leaveEnded();
  }

  /** Ends the batch, wherever it is. */
  async clear(): Promise<void> {
    this.clearings++;
    await this.beginning?.catch(() => undefined);
    this.leaveStage();
    for (const cohort of this.cohorts) cohort.dispose();
    this.cohorts = [];
  }

  private pieceLength(isFirst: boolean): number {
    const steps = this.stepTime === undefined ? 1 : Math.round(this.pieceMilliseconds / this.stepTime);
    return Math.max(isFirst ? FEWEST_FIRST : 1, Math.min(MOST_STEPS, steps));
  }

  /**
   * Lets ended cohorts go and gives the others room.
   *
   * @returns those that the next step decodes
   */
  private async arrange(): Promise<readonly Cohort[]> {
    const { clearings } = this;
    await this.askMasks();
    if (this.clearings !== clearings) throw ended();
    this.makeRoom();
    const ready = this.cohorts.filter((cohort) => !cohort.isWaiting);
    const isSame = ready.length === this.stage?.cohorts.length && ready.every((one, i) => one === this.stage?.cohorts[i]); // prettier-ignore
    if (!isSame) this.leaveStage();
    return ready;
  }

  /** Waits, for a while, until constrained rows know what they may take. */
  private async askMasks(): Promise<void> {
    const waiting = this.cohorts.flatMap(({ rows }) => rows.filter(isWaiting)).map((row) => row.mask?.ask());
    if (waiting.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE);
    });
    await Promise.race([Promise.all(waiting), patience]);
    clearTimeout(timer);
  }

  private leaveEnded(): void {
    const alive = this.cohorts.filter((cohort) => cohort.activeRows > 0);
    if (alive.length === this.cohorts.length) return;
    this.leaveStage();
    for (const cohort of this.cohorts) if (!alive.includes(cohort)) cohort.dispose();
    this.cohorts = alive;
  }

  private makeRoom(): void {
    this.leaveEnded();
    let changed = false;
    for (const cohort of this.cohorts) changed = cohort.makeRoom() || changed;
    if (changed) this.leaveStage();
  }

  private leaveStage(): void {
    if (!this.stage) return;
    this.stage.program.dispose();
    this.stage.choices.dispose();
    this.stage = undefined;
  }

  /** Puts the state of all rows on the device and records, in slices, the step that advances it. */
  private async begin(cohorts: readonly Cohort[]): Promise<Stage> {
    const { clearings } = this;
    const { device, config } = this.model;
    const choices = new RowChoices(device, cohorts, config);
    let program: Program | undefined;
    try {
      ({ program } = await device.recordInSlices(device.tidied(this.step(cohorts, choices))));
      if (this.clearings === clearings) return (this.stage = { cohorts, choices, program });
      throw ended();
    } catch (error) {
      program?.dispose();
      choices.dispose();
      throw error;
    }
  }

  private *step(cohorts: readonly Cohort[], choices: RowChoices): Sliced<void> {
    const parts = cohorts.map(({ jointRows }) => jointRows);
    choices.choose(yield* this.decoding.logits(this.model, choices.token, parts));
    for (const cohort of cohorts) cohort.advance();
  }
}

function ended(): HintError {
  return new HintError('ABORTED', 'The batch was ended.');
}
