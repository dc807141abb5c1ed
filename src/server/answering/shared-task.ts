import type { Task } from '../../inference/task/task.js';
import type { TaskUse } from './task-use.js';

/**
 * A trained task, which cannot be compiled again and so stays on the device while it is registered. It goes when it is
 * forgotten and no request runs with it.
 */
export class SharedTask {
  private users = 0;
  private isForgotten = false;

  constructor(
    readonly task: Task,
    /** Of its file: what tells it from others of the same instruction. */
    readonly digest: string,
  ) {}

  use(): TaskUse {
    this.users++;
    let isUsed = true;
    const release = (): void => {
      if (isUsed) this.users--;
      isUsed = false;
      this.giveBack();
    };
    return { task: this.task, cached: true, release };
  }

  forget(): void {
    this.isForgotten = true;
    this.giveBack();
  }

  private giveBack(): void {
    if (this.isForgotten && this.users === 0) this.task.dispose();
  }
}
