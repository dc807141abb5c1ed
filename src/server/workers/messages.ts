import type { WeightDType } from '../../tensor/ops.js';
import type { HintErrorCode } from '../../util/errors.js';
import type { ServerLimits } from '../answering/limits.js';

/** The engine of a worker. */
export interface WorkerEngine {
  readonly device: string;
  readonly threads: number;
  readonly dtype?: WeightDType | undefined;
  /** Path of a tokenizer.json. */
  readonly tokenizer?: string | undefined;
}

/** The first message that a worker gets: what it serves, and where. */
export interface WorkerStart {
  /** Path of the Unix socket to listen on. */
  readonly socket: string;
  readonly directory: string;
  readonly engine: WorkerEngine;
  /** The name of the model in requests. */
  readonly model: string;
  readonly limits: ServerLimits;
}

/** What a worker tells. */
export type WorkerMessage =
  | { readonly type: 'ready'; readonly notices: readonly string[] }
  | { readonly type: 'failed'; readonly code: HintErrorCode; readonly message: string }
  | { readonly type: 'log'; readonly line: string };
