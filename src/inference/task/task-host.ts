import type { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import type { AnyModel } from '../../model/family.js';
import type { Grammars } from '../constrain/grammars.js';
import type { CompiledTasks } from '../contract/compiled-tasks.js';
import type { GeneratedTokens } from '../decode/row-watch.js';
import type { QueuedInput } from './queued-input.js';

/** A use of a compiled task, which stays on the device until it is released. */
export interface TaskHold {
  readonly compiled: CompiledTasks;
  /** Another use, released by itself; possible after the task was disposed too. */
  share(): TaskHold;
  release(): void;
}

/** What a task needs of its engine. */
export interface TaskHost {
  readonly model: AnyModel;
  readonly tokenizer: Tokenizer | undefined;
  /** What answers can be held to. */
  readonly grammars: Grammars;
  fingerprint(): Promise<string>;
  /** @throws HintError INVALID_ARGUMENT where nothing can be run any more */
  checkOpen(): void;
  /** Runs work that closing the engine aborts. */
  run<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Decodes an input in the running batch; the hold is kept by the caller until that has ended. */
  enqueue(hold: TaskHold, queued: QueuedInput): Promise<GeneratedTokens>;
}
