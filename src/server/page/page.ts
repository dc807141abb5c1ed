import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { packageRoot } from '../../util/package-root.js';
import { ApiError } from '../http/errors.js';

/** Routes of the page, which holds no secret: a browser cannot send a key with the address that somebody types. */
export const PAGE_PATHS: readonly string[] = ['/', '/page/:file'];

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** All that the page loads comes from this server. Task files are downloaded from memory (blob:). */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * GET / and what it loads: the page to try the model in, as the build wrote it. Its files are read now; no name in a request
 * reaches the file system.
 */
export async function addPage(app: FastifyInstance): Promise<void> {
  const files = await readPage(join(packageRoot(), 'dist', 'bundle', 'page'));
  const send = (reply: FastifyReply, name: string, cache: string): FastifyReply => {
    const content = files.get(name);
    if (!content)
      throw new ApiError(
        404,
        files.size === 0
          ? 'The page is not built; run "npm run build:ts", or use the API: GET /openapi.json lists it.'
          : `The page has no file ${JSON.stringify(name.slice(0, 100))}; load it again.`,
        { code: 'not_found' },
      );
    return reply
      .headers({
        'content-security-policy': POLICY,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': cache,
      })
      .type(TYPES[extname(name)] ?? 'application/octet-stream')
      .send(content);
  };
  const hidden = { schema: { hide: true } };
  app.get('/', { ...hidden, prefixTrailingSlash: 'slash' }, async (_request, reply) =>
    send(reply, 'index.html', 'no-cache'),
  );
  app.get('/page/:file', hidden, async (request: FastifyRequest, reply) =>
    // Names have the hash of the content.
    send(reply, (request.params as { file: string }).file, 'public, max-age=31536000, immutable'),
  );
}

/** Names and contents; none where the page was not built. */
async function readPage(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []))
    if (entry.isFile()) files.set(entry.name, await readFile(join(entry.parentPath, entry.name)));
  return files;
}
