import { guarded, native, type TracedCalls } from './native.js';
import { Device } from './device.js';

/**
 * A device that takes what a CUDA device takes and computes nothing: it notes what it is asked to do. Memory is counted and
 * never there, and whatever is read is zero. So a training step of a model of any size can be counted on any machine.
 */
export class TracingDevice extends Device {
  constructor() {
    super({}, { kind: 'cuda', native: 'trace' });
  }

  /** What was enqueued since the last call, in the order in which each came up first, once all of it has been noted. */
  async takeTrace(): Promise<TracedCalls[]> {
    await this.synchronize();
    return guarded(() => native().takeTrace(this.handle));
  }
}

export type { TracedCalls };
