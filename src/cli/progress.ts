import cliProgress from 'cli-progress';

/**
 * How far long work is: one line that rewrites itself on a terminal, plain lines (at most one every few seconds)
 * elsewhere. Everything goes to standard error.
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
    if (this.quiet) return;
    if (process.stderr.isTTY) {
      if (!this.bar) {
        this.bar = new cliProgress.SingleBar({
          format: `{label} {bar} {value}/{total}  {detail}`,
          hideCursor: true,
          barsize: 24,
          fps: 8,
        });
        this.bar.start(total, 0, { label: this.label.padEnd(14), detail: '' });
      }
      this.bar.update(done, { detail });
      return;
    }
    this.text = `${this.label.padEnd(14)} ${done}/${total}  ${detail}`;
    const now = Date.now();
    if (now - this.lastLine < 5000 && done < total) return;
    this.lastLine = now;
    process.stderr.write(`${this.text.trimEnd()}\n`);
  }

  stop(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
