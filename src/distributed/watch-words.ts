import type { Hub, Loss, RankPlace } from './watch.js';

/** What the thread of a watch is started with. */
export interface WatchData {
  /** Of every rank. */
  readonly places: readonly RankPlace[];
  /** Of this process. */
  readonly rank: number;
  /** Milliseconds without a sign of life after which a rank counts as lost. */
  readonly limit: number;
}

/** What a process asks of the thread of its watch. */
export type WatchOrder =
  /** The answer to `share`. */
  { kind: 'hub'; hub: Hub } | { kind: 'fail'; message: string } | { kind: 'leave' };

/** What the thread tells its process. */
export type WatchNews =
  /** Rank 0 alone has a hub to give. */
  | { kind: 'share'; hub: Hub | undefined }
  | { kind: 'started' }
  | { kind: 'refused'; code: string; message: string }
  | { kind: 'loss'; loss: Loss }
  /** The answer to `fail`. */
  | { kind: 'failed'; isToldByFirst: boolean }
  /** The answer to `leave`. */
  | { kind: 'left' };
