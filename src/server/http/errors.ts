import { HintError, type HintErrorCode } from '../../util/errors.js';

/** Kinds of errors as OpenAI's API names them. */
export type ApiErrorType =
  'invalid_request_error' | 'authentication_error' | 'permission_error' | 'rate_limit_error' | 'server_error';

/** An error as OpenAI's API writes it. */
export interface ApiErrorBody {
  error: { message: string; type: ApiErrorType; param: string | null; code: string | null };
}

/** An answer that is an error: its status, and what clients of OpenAI's API read of it. */
export class ApiError extends Error {
  readonly type: ApiErrorType;
  readonly param: string | null;
  readonly code: string | null;
  /** Seconds after which asking again may help. */
  readonly retryAfter: number | undefined;

  constructor(
    readonly status: number,
    message: string,
    details: { code?: string; param?: string; retryAfter?: number } = {},
  ) {
    super(message);
    this.name = 'ApiError';
    this.type = typeOf(status);
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.retryAfter = details.retryAfter;
  }

  get body(): ApiErrorBody {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

function typeOf(status: number): ApiErrorType {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** What of the engine's errors the client can do something about; the others are faults of the server. */
const STATUS: Partial<Record<HintErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  INVALID_DATA: 400,
  INVALID_TOKEN: 400,
  INVALID_JSON: 400,
  INVALID_FILE: 400,
  INVALID_CHECKPOINT: 400,
  FINGERPRINT_MISMATCH: 400,
  LIMIT_EXCEEDED: 413,
  NOT_SUPPORTED: 400,
  BUSY: 429,
  OUT_OF_MEMORY: 503,
  ABORTED: 503,
};

/** How Fastify's own refusals are told. */
const REFUSALS: Readonly<Record<string, readonly [status: number, message: string]>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    415,
    'The body is of a type that is not taken here; send JSON with "Content-Type: application/json".',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: [400, 'The body is empty; send a JSON object.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'The body is not as long as its Content-Length says.'],
  FST_ERR_BAD_URL: [400, 'The path is not UTF-8 in percent-encoding; encode it with encodeURIComponent.'],
  FST_ERR_MAX_PARAM_LENGTH: [414, 'A part of the path is longer than any id or name; shorten it.'],
};

/**
 * Any error as an answer. What is not meant for the client is told as a fault of the server, without its message.
 *
 * @param bodyLimit bytes that a body may have where it was sent
 */
export function apiErrorOf(error: unknown, bodyLimit?: number): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof HintError) {
    const status = STATUS[error.code];
    if (status !== undefined) {
      const retryAfter = status === 429 || status === 503 ? { retryAfter: 1 } : {};
      return new ApiError(status, error.message, { code: error.code.toLowerCase(), ...retryAfter });
    }
  }
  const { code = '', statusCode = 500 } = (error ?? {}) as { code?: string; statusCode?: number };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    const limit = bodyLimit === undefined ? 'this server takes' : `${bodyLimit} bytes, the limit here`;
    return new ApiError(413, `The body is larger than ${limit}; send less at once.`);
  }
  const refusal = REFUSALS[code];
  if (refusal) return new ApiError(refusal[0], refusal[1]);
  if (statusCode >= 400 && statusCode < 500) return new ApiError(statusCode, (error as Error).message);
  return new ApiError(
    500,
    'The server failed to answer; its log has the reason under the id of this request (X-Request-Id).',
    { code: 'internal' },
  );
}
