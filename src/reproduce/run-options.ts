import type { Group } from '../distributed/group.js';
import type { TrainingEvent } from '../training/run/events.js';
import type { SweepEvent } from '../training/runs/sweep.js';
import type { CellScore } from './evaluate-cell.js';

/** What a grid tells while it runs. */
export type GridEvent =
  | {
      kind: 'cell';
      state: 'started' | 'skipped' | 'finished' | 'failed';
      index: number;
      total: number;
      label: string;
      result?: CellScore;
      error?: unknown;
    }
  | { kind: 'run'; stage: 'pretraining' | 'training'; label: string; event: TrainingEvent }
  | { kind: 'search'; label: string; event: Extract<SweepEvent, { kind: 'run' }> }
  | { kind: 'evaluating'; label: string; done: number; total: number };

/** How a grid is run. */
export interface RunGridOptions {
  /** Aborting saves the run under way and returns what there is, as interrupted. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: GridEvent) => void) | undefined;
  /**
   * Processes that take each training and evaluation together, all of which call this with the same, and see the folder of the
   * output (`requireSharedFolder`). Rank 0 writes, and each has the
   * whole result. A training that diverges fails its cells; another error ends all of them.
   */
  readonly ranks?: Group | undefined;
}
