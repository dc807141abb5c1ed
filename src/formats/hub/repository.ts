import { HintError } from '../../util/errors.js';
import { checkBytes } from '../../util/limits.js';
import { refusal, hubFetch, stallWatch, withRetries, type HubAccess } from './http.js';

/** A file of a repository. */
export interface HubFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of what is stored apart from Git, else the SHA-1 of Git's blob; 64 or 40 hexadecimal digits. */
  readonly digest: string;
}

/** A repository at one commit. */
export interface HubSnapshot {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

const NAME = /^(?!.*(?:--|\.\.))[\w.-]{1,96}(?:\/[\w.-]{1,96})?$/;
const REVISION = /^(?!.*\.\.)(?!\/)[\w./-]{1,250}$/;
const COMMIT = /^[0-9a-f]{40}$/;
const DIGEST = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
// More than any model has; a listing that never ends is refused.
const MOST_FILES = 100_000;
const MOST_PAGES = 1000;

/** @throws HintError INVALID_ARGUMENT for what is no name of a repository */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `"${name}" is no model's name on the hub; give it as owner/name, such as google/t5-base-lm-adapt.`,
  );
}

/** @throws HintError INVALID_ARGUMENT for what is no branch, tag or commit */
export function checkRevision(revision: string): void {
  if (REVISION.test(revision)) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `"${revision}" is no revision; give a branch, a tag or a commit, such as main.`,
  );
}

/**
 * What a repository has at a revision.
 *
 * @throws HintError NOT_FOUND (no such repository or revision, private or gated), IO (hub not to be reached, an answer that
 *   is none of the hub's), ABORTED
 */
export async function readSnapshot(
  access: HubAccess,
  name: string,
  revision: string,
  signal?: AbortSignal,
): Promise<HubSnapshot> {
  const what = `${name} at ${revision}`;
  // Only where it is needed: it takes as long to load as all else that a command loads.
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  return withRetries(
    access,
    what,
    async () => {
      const watch = stallWatch(access, signal);
      try {
        let pages = 0;
        const ask = async (address: string | URL | Request, init?: RequestInit): Promise<Response> => {
          watch.alive();
          const url = address instanceof Request ? address.url : String(address);
          // A page of a listing names the next; the hub's own is the only host that is asked.
          if (new URL(url).origin !== new URL(access.endpoint).origin)
            throw new HintError('IO', `${access.endpoint} leads to ${url}, another host; check HF_ENDPOINT.`);
          if (++pages > MOST_PAGES) throw strange(what, `at most ${MOST_PAGES} pages`, 'more');
          const response = await hubFetch(access, url, { ...init, signal: watch.signal });
          if (!response.ok) throw await refusal(access, what, response);
          return bounded(what, response, watch.alive);
        };
        const hub = { hubUrl: access.endpoint, fetch: ask };
        const { sha } = await modelInfo({ ...hub, name, revision, additionalFields: ['sha'] });
        if (typeof sha !== 'string' || !COMMIT.test(sha)) throw strange(what, 'a commit', sha);
        const files: HubFile[] = [];
        for await (const entry of listFiles({ ...hub, repo: name, revision: sha, recursive: true })) {
          if (entry.type !== 'file') continue;
          files.push(fileOf(what, entry));
          if (files.length > MOST_FILES) throw strange(what, `at most ${MOST_FILES} files`, 'more');
        }
        return { commit: sha, files };
      } catch (error) {
        // An error page where JSON should be; asking again does not help.
        if (error instanceof SyntaxError || (error instanceof TypeError && !('cause' in error)))
          throw strange(what, 'JSON', (error as Error).message);
        throw error;
      } finally {
        watch.stop();
      }
    },
    signal,
  );
}

/** The same answer, of no more bytes than a file may have. @throws HintError LIMIT_EXCEEDED */
async function bounded(what: string, response: Response, alive: () => void): Promise<Response> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    alive();
    bytes += piece.length;
    checkBytes(what, "the hub's answer has", bytes);
    pieces.push(piece);
  }
  return new Response(Buffer.concat(pieces), { headers: response.headers });
}

function fileOf(
  what: string,
  { path, size, oid, lfs }: { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } },
): HubFile {
  const digest = lfs?.oid ?? oid;
  if (typeof digest !== 'string' || !DIGEST.test(digest)) throw strange(what, 'a checksum', digest);
  const bytes = lfs?.size ?? size;
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw strange(what, 'a size', bytes);
  if (!isInside(path)) throw strange(what, 'a file name inside the repository', path);
  return { path, size: bytes, digest };
}

/** A name that, joined to a folder, stays in it, on every system. */
function isInside(path: unknown): path is string {
  return (
    typeof path === 'string' &&
    path.length <= 1000 &&
    !/[\0-\x1f\\:]/.test(path) &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

function strange(what: string, expected: string, found: unknown): HintError {
  return new HintError(
    'IO',
    `${what}: the hub's answer should have ${expected} and has ${JSON.stringify(found) ?? 'none'}; check that HF_ENDPOINT is a hub.`,
  );
}
