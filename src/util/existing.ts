import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HintError } from './errors.js';
import { checkOutput } from './atomic-file.js';

/** A kind of file that a command may replace, and a test that tells such a file from other files. */
export interface ReplaceableKind {
  /** With its article: `a predictions file`. */
  readonly name: string;
  /** Whether a file with this beginning, decoded as Latin-1, is of the kind. */
  readonly fits: (head: string) => boolean;
}

const HEAD_BYTES = 64 * 1024;

/** What `hint eval --predictions` and `hint score` call predictions. */
export const PREDICTIONS: ReplaceableKind = {
  name: 'a predictions file',
  fits: (head) => /^\s*\{[^\n]*"prediction"\s*:/.test(head),
};

/** A results file of `hint bench`. */
export const BENCH_RESULTS: ReplaceableKind = {
  name: 'a results file of hint bench',
  fits: (head) => /^\s*\{\s*"(machine|date|parts)"\s*:/.test(head),
};

/** A task that `hint compile` or Task.save wrote. */
export const TASK: ReplaceableKind = {
  name: 'a compiled task',
  fits: (head) => /^.{8}\{.*"format"\s*:\s*"hint-task-\d/s.test(head),
};

/** A picture of the format that the ending of the path names. */
export function picture(path: string): ReplaceableKind {
  return path.toLowerCase().endsWith('.svg')
    ? { name: 'an SVG picture', fits: (head) => /<svg[\s>]/.test(head) }
    : { name: 'a PNG picture', fits: (head) => head.startsWith('\u0089PNG\r\n') };
}

/** A Markdown report of the engine, whose first line is the title. */
export function report(title: string): ReplaceableKind {
  return { name: `the report "${title}"`, fits: (head) => head.startsWith(Buffer.from(`# ${title}\n`).toString('latin1')) }; // prettier-ignore
}

/**
 * Checks, before the work, that writing the output would replace only an earlier output of the same kind. Empty files,
 * devices and pipes may always be written.
 *
 * @param options.inFolder whether the folder must exist; by default it is created
 * @throws HintError INVALID_ARGUMENT for a folder or a file of another kind, IO for one that cannot be read or whose folder
 *   is missing
 */
export async function checkReplaceable(
  path: string,
  kind: ReplaceableKind,
  { inFolder = false }: { inFolder?: boolean } = {},
): Promise<void> {
  await checkOutput(path);
  const status = await statusOf(path);
  if (!status) {
    if (inFolder && !(await statusOf(dirname(path)))?.isDirectory())
      throw new HintError('IO', `Cannot write ${path}: ${dirname(path)} is no folder; make it first.`);
    return;
  }
  if (status.isDirectory())
    throw new HintError('INVALID_ARGUMENT', `${path} is a folder; name a file for ${kind.name} in it.`);
  if (!status.isFile() || status.size === 0) return;
  if (kind.fits(await headOf(path))) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${path} exists and is not ${kind.name}, so it is not written over; give another name, or remove it.`,
  );
}

async function statusOf(path: string): Promise<Awaited<ReturnType<typeof stat>> | undefined> {
  return stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw unreadable(path, cause);
  });
}

async function headOf(path: string): Promise<string> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    await file.close();
  }
}

function unreadable(path: string, cause: unknown): HintError {
  return new HintError(
    'IO',
    `${path} cannot be read (${(cause as Error).message}), so that what is there may be lost; give another name.`,
    { cause },
  );
}
