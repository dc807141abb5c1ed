import { integer, optional, type Members } from '../../util/arguments.js';

/** How much a server takes. */
export interface ServerLimits {
  /** Bytes of a JSON body (default 1 MiB). */
  bodyBytes: number;
  /** Bytes of a task file that is brought (default 1 GiB). */
  taskFileBytes: number;
  /** Tokens of an instruction with its examples (default 1,024, what the systems are trained on). */
  instructionTokens: number;
  /** Examples of an instruction (default 64). */
  examples: number;
  /** Tokens of an input (default 1,024). */
  inputTokens: number;
  /** Tokens that may be asked for (default 4,096). */
  outputTokens: number;
  /** Answers that one request may ask for: its inputs times `n` (default 128). */
  answers: number;
  /** Requests that are worked on or wait at once (default 1,024). */
  requests: number;
  /** Tasks that are registered (default 1,000). */
  tasks: number;
  /** Of these, tasks that were trained and stay on the device (default 32). */
  trainedTasks: number;
  /** Instructions that are compiled at once (default 2); others wait. */
  compiling: number;
  /** Seconds within which a request is answered (default 120). */
  seconds: number;
}

export const DEFAULT_LIMITS: Readonly<ServerLimits> = {
  bodyBytes: 1024 ** 2,
  taskFileBytes: 1024 ** 3,
  instructionTokens: 1024,
  examples: 64,
  inputTokens: 1024,
  outputTokens: 4096,
  answers: 128,
  requests: 1024,
  tasks: 1000,
  trainedTasks: 32,
  compiling: 2,
  seconds: 120,
};

const amount = optional(integer(1, 2 ** 31 - 1));
const tokens = optional(integer(1, 65_536));

export const LIMITS: Members<Partial<ServerLimits>> = {
  bodyBytes: amount,
  taskFileBytes: optional(integer(1)),
  instructionTokens: tokens,
  examples: optional(integer(0, 2 ** 20)),
  inputTokens: tokens,
  outputTokens: tokens,
  answers: amount,
  requests: amount,
  tasks: amount,
  trainedTasks: optional(integer(0, 2 ** 20)),
  compiling: amount,
  seconds: optional(integer(1, 86_400)),
};
