import cliProgress from 'cli-progress';
import { shown } from '../../util/shown.js';
import { duration } from './duration.js';
import { addDisplay, isEnding, removeDisplay } from './ending.js';
import { note } from './output.js';

/** Columns of the bar: the first of these for which the rest of the line leaves room. */
const BAR_SIZES = [24, 16, 8];
const LABEL_COLUMNS = 14;
// Of a terminal that does not say how wide it is.
const COLUMNS = 80;

/**
 * How far long work is, and how long it still takes: one line that rewrites itself on a terminal, plain lines (at most one every
 * few seconds) elsewhere. Everything goes to standard error. The terminal's cursor and line wrap are never touched, so that there
 * is nothing to restore, however the process ends.
 */
export class Progress {
  private bar: cliProgress.SingleBar | undefined;
  private lastLine = 0;
  /** Where the rate is measured from. */
  private start = { done: 0, time: 0 };
  private done = Infinity;

  constructor(
    private readonly label: string,
    private readonly quiet = false,
  ) {}

  /** @param secondsLeft by default from the rate since the first update */
  update(done: number, total: number, detail = '', secondsLeft = this.secondsLeft(done, total)): void {
    if (this.quiet || isEnding()) return;
    const left = secondsLeft === undefined ? '' : `${duration(secondsLeft)} left`;
    const text = shown([detail, left].filter((part) => part !== '').join('  '));
    if (process.stderr.isTTY) {
      if (!this.bar) {
        // Lines are cut to the terminal's width instead of turning its wrapping off.
        this.bar = new cliProgress.SingleBar({
          format: barLine,
          linewrap: true,
          barsize: BAR_SIZES[0],
          fps: 8,
        });
        addDisplay(this.stop);
        this.bar.start(total, 0, { label: shown(this.label), text: '' });
      }
      this.bar.update(done, { text });
      return;
    }
    const now = Date.now();
    if (now - this.lastLine < 5000 && done < total) return;
    this.lastLine = now;
    note(`${shown(this.label).padEnd(LABEL_COLUMNS)} ${done}/${total}  ${text}`.trimEnd());
  }

  private secondsLeft(done: number, total: number): number | undefined {
    const time = performance.now();
    // The first update, or other work under the same label.
    if (done < this.done) this.start = { done, time };
    this.done = done;
    const since = done - this.start.done;
    return since > 0 && done < total ? ((time - this.start.time) / 1000 / since) * (total - done) : undefined;
  }

  /** Ends the line. */
  readonly stop = (): void => {
    removeDisplay(this.stop);
    this.bar?.stop();
    this.bar = undefined;
  };
}

/** The line of a bar, whose bar is as long as the terminal has room for behind what is said. */
function barLine(
  options: cliProgress.Options,
  { progress, value, total }: cliProgress.Params,
  { label, text }: { label: string; text: string },
): string {
  const said = `${value}/${total}  ${text}`;
  const before = label.padEnd(LABEL_COLUMNS);
  const room = (process.stderr.columns || COLUMNS) - before.length - said.length - 3;
  const barsize = BAR_SIZES.find((size) => size <= room);
  if (barsize === undefined) return `${label} ${said}`;
  return `${before} ${cliProgress.Format.BarFormat(progress, { ...options, barsize })} ${said}`;
}
