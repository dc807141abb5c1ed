import { shortened, shown } from './shown.js';

/** What went wrong, for programs: every {@link HintError} carries one of these. */
export type HintErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_SHAPE'
  | 'INVALID_FILE'
  | 'INVALID_JSON'
  | 'INVALID_CONFIG'
  | 'INVALID_CHECKPOINT'
  | 'INVALID_TOKEN'
  | 'INVALID_DATA'
  | 'NOT_FOUND'
  | 'NOT_SUPPORTED'
  | 'NUMERIC'
  | 'OUT_OF_MEMORY'
  | 'DEVICE_LOST'
  | 'RANK_LOST'
  | 'LIMIT_EXCEEDED'
  | 'BUSY'
  | 'IO'
  | 'FINGERPRINT_MISMATCH'
  | 'ABORTED'
  | 'NATIVE_MISSING'
  | 'INTERNAL';

// Messages name values from files, which may be megabytes long.
const LONGEST_MESSAGE = 4000;

/**
 * The one error class of the engine: a sentence that names the value, the limit and the next step, and a `code`
 * for programs. Whatever values it names, the message is one line without control characters (they are escaped as in
 * JSON), of about 4,000 characters at most.
 */
export class HintError extends Error {
  /** For programs, which should not read the sentence. */
  readonly code: HintErrorCode;

  constructor(code: HintErrorCode, message: string, options?: { cause?: unknown }) {
    super(shown(shortened(message, LONGEST_MESSAGE)), options);
    this.name = 'HintError';
    this.code = code;
  }
}

/** Throws the engine's own abort error when `signal` is aborted, so that callers see one error class. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new HintError('ABORTED', 'The operation was aborted.', { cause: signal.reason });
}
