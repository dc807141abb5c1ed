/** Whether somebody waits from moment to moment for what is enqueued on a device. */
export class Urgency {
  private count = 0;

  get isOn(): boolean {
    return this.count > 0;
  }

  /** @returns what ends it */
  begin(): () => void {
    this.count++;
    let hasEnded = false;
    return () => {
      if (!hasEnded) this.count--;
      hasEnded = true;
    };
  }
}
