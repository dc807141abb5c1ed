import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FastifyInstance } from 'fastify';
import { HintError } from '../../util/errors.js';
import { ioError } from '../../util/write-error.js';
import { ApiError } from '../http/errors.js';

/** The content type of task files. */
export const FILE = 'application/octet-stream';

/** Has the routes of a scope take files as streams, so that none is ever in memory whole. */
export function takeFiles(scope: FastifyInstance, most: number): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(FILE, { bodyLimit: most }, (_request, body, done) => done(null, body));
  scope.addContentTypeParser('*', (_request, _body, done) =>
    done(new ApiError(415, `A task file is sent with "Content-Type: ${FILE}"; send it with that.`)),
  );
}

/**
 * Writes a file as it comes.
 *
 * @returns its SHA-256, in hexadecimal digits
 * @throws ApiError 400 where there is none, 413, 507 where it cannot be written
 */
export async function receiveFile(
  body: Readable | undefined,
  path: string,
  most: number,
  signal: AbortSignal,
): Promise<string> {
  if (!body)
    throw new ApiError(400, `There is no task file in the body; send one with "Content-Type: ${FILE}".`, {
      code: 'invalid_file',
    });
  let bytes = 0;
  const hash = createHash('sha256');
  try {
    await pipeline(
      body,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          bytes += chunk.length;
          if (bytes > most)
            throw new ApiError(413, `The file is larger than ${most} bytes, the limit of this server.`);
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(path, { flags: 'wx', mode: 0o600 }),
      { signal },
    );
    return hash.digest('hex');
  } catch (error) {
    throw error instanceof ApiError ? error : noPlace(error);
  }
}

/** The answer where a task file cannot be written; errors of other kinds are returned unchanged. */
export function noPlace(cause: unknown): unknown {
  const failure = ioError('write', 'the task file', cause);
  return failure instanceof HintError && failure.code === 'IO'
    ? new ApiError(507, failure.message, { code: 'io' })
    : failure;
}
