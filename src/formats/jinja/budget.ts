import { HintError } from '../../util/errors.js';
import { checkBytesSoFar, stopwatch } from '../../util/limits.js';

/** Steps of one rendering: a second of work at most, and a hundred times what templates of data take. */
export const MOST_STEPS = 2_000_000;
// Steps between two looks at the clock: well below a millisecond.
const STEPS_PER_LOOK = 256;
// Steps between two pauses: some milliseconds.
const STEPS_PER_PAUSE = 4096;

/** What one rendering has taken. */
export class Budget {
  private steps = 0;
  private bytes = 0;
  private untilLook = STEPS_PER_LOOK;
  private untilPause = STEPS_PER_PAUSE;
  private readonly look: (idle?: number) => void;

  /** @param where names the template in errors */
  constructor(private readonly where: string) {
    this.look = stopwatch(() => where);
  }

  /** @throws HintError LIMIT_EXCEEDED */
  step(count: number): void {
    this.steps += count;
    if (this.steps > MOST_STEPS)
      throw new HintError(
        'LIMIT_EXCEEDED',
        `${this.where} takes more than ${MOST_STEPS.toLocaleString('en')} steps for one row, the limit; make its loops shorter.`,
      );
    this.untilPause -= count;
    if ((this.untilLook -= count) > 0) return;
    this.untilLook = STEPS_PER_LOOK;
    this.look();
  }

  /** Whether so many steps were taken that others should have a turn. */
  get isPauseDue(): boolean {
    return this.untilPause <= 0;
  }

  /** A pause is over. @param milliseconds how long it was: the time of others does not count */
  paused(milliseconds: number): void {
    this.untilPause = STEPS_PER_PAUSE;
    this.look(milliseconds);
  }

  /** @throws HintError LIMIT_EXCEEDED */
  allocate(bytes: number): void {
    this.bytes += bytes;
    checkBytesSoFar(this.where, 'rendering it takes', this.bytes);
  }
}
