import cliProgress from 'cli-progress';
import { shown } from '../../util/shown.js';
import { addDisplay, isEnding, removeDisplay } from './ending.js';
import { note } from './output.js';

/**
 * How far long work is: one line that rewrites itself on a terminal, plain lines (at most one every few seconds)
 * elsewhere. Everything goes to standard error. The terminal's cursor and line wrap are never touched, so that there is
 * nothing to restore, however the process ends.
 */
export class Progress {
  private bar: cliProgress.SingleBar | undefined;
  private lastLine = 0;
  private text = '';

  constructor(
    private readonly label: string,
    private readonly quiet = false,
  ) {}

  update(done: number, total: number, detail = ''): void {
    if (this.quiet || isEnding()) return;
    if (process.stderr.isTTY) {
      if (!this.bar) {
        this.bar = new cliProgress.SingleBar({
          format: `{label} {bar} {value}/{total}  {detail}`,
          // Lines are cut to the terminal's width instead of turning its wrapping off.
          linewrap: true,
          barsize: 24,
          fps: 8,
        });
        addDisplay(this.stop);
        this.bar.start(total, 0, { label: shown(this.label).padEnd(14), detail: '' });
      }
      this.bar.update(done, { detail: shown(detail) });
      return;
    }
    this.text = shown(`${this.label.padEnd(14)} ${done}/${total}  ${detail}`);
    const now = Date.now();
    if (now - this.lastLine < 5000 && done < total) return;
    this.lastLine = now;
    note(this.text.trimEnd());
  }

  /** Ends the line. */
  readonly stop = (): void => {
    removeDisplay(this.stop);
    this.bar?.stop();
    this.bar = undefined;
  };
}
