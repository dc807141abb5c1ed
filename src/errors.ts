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
  | 'BUSY'
  | 'IO'
  | 'FINGERPRINT_MISMATCH'
  | 'ABORTED'
  | 'NATIVE_MISSING'
  | 'INTERNAL';

/**
 * The one error class of the engine: a sentence that names the value, the limit and the next step, and a `code`
 * for programs.
 */
export class HintError extends Error {
  readonly code: HintErrorCode;

  constructor(code: HintErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'HintError';
    this.code = code;
  }
}

/** Throws the engine's own abort error when `signal` is aborted, so that callers see one error class. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new HintError('ABORTED', 'The operation was aborted.', { cause: signal.reason });
}
