import { closeSync, openSync, writeFileSync } from 'node:fs';
import { link, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HintError } from './errors.js';
import { hasEnded, thisProcess } from './process-owner.js';
import { readBytes } from './read-file.js';
import { dropTemporary, forgetTemporary, removeAtExit, temporaryPath } from './temporary.js';
import { ioError } from './write-error.js';

const ownerSchema = z.object({
  pid: z.int().positive(),
  host: z.string(),
  /**
   * When the machine and the process started, to tell the process from a later one with the same number; null where the
   * system does not say.
   */
  processStart: z.string().nullable(),
  /** The namespace of its process number; absent in locks of earlier versions. */
  namespace: z.string().nullable().optional(),
  /** ISO 8601, for people. */
  since: z.string(),
});

type Owner = z.infer<typeof ownerSchema>;

const ATTEMPTS = 50;
const RETRY_MILLISECONDS = 20;
// Taking over a lock takes milliseconds; an older guard was left by a process that was killed meanwhile.
const GUARD_MILLISECONDS = 10_000;

/** The locked work, in words for the error that refuses a second process. */
export interface LockedWork {
  /** What the process that has the lock is doing, as in "training in runs/hint". */
  readonly doing: string;
  /** What the user can give instead, as in "another output directory". */
  readonly instead: string;
}

/**
 * Locks a folder for this process, because two would overwrite each other's files. The lock is a file that names its
 * process; the lock of a process that has ended is taken over.
 *
 * @returns a function that releases the lock
 * @throws HintError INVALID_ARGUMENT naming the process that works there, IO
 */
export async function takeLock(path: string, work: LockedWork): Promise<() => Promise<void>> {
  const own = `${JSON.stringify(ownerOfLock())}\n`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await createWhole(path, own)) {
      removeAtExit(path);
      return () => release(path, own);
    }
    const found = await readText(path);
    if (found === undefined) continue;
    const owner = parseOwner(found);
    if (owner && isRunning(owner)) throw inUse(path, work, owner);
    await takeAway(path, found);
  }
  throw new HintError(
    'INVALID_ARGUMENT',
    `Other processes are taking over ${path} at this moment; try again, or give ${work.instead}.`,
  );
}

function inUse(path: string, work: LockedWork, { pid, host, namespace, since }: Owner): HintError {
  const isContained = (namespace ?? null) !== null && namespace !== thisProcess().namespace;
  const where =
    host !== hostname() ? [host, 'machine'] : isContained ? ['another container', 'container'] : undefined;
  const elsewhere = where ? ` on ${where[0]}; if that ${where[1]} no longer works on it, delete ${path}` : '';
  return new HintError(
    'INVALID_ARGUMENT',
    `Process ${pid} has been ${work.doing} since ${since}${elsewhere}; wait for it, stop it, or give ${work.instead}.`,
  );
}

function ownerOfLock(): Owner {
  const { pid, host, namespace, boot, start } = thisProcess();
  const processStart = boot === null || start === null ? null : `${boot} ${start}`;
  return { pid, host, processStart, namespace, since: new Date().toISOString() };
}

/** A process of another machine or container cannot be asked; it counts as running. */
function isRunning({ pid, host, processStart, namespace = null }: Owner): boolean {
  const [boot = null, start = null] = processStart?.split(' ') ?? [];
  return !hasEnded({ pid, host, namespace, boot, start }, thisProcess());
}

/** Makes the file with all of its content or, when there is one already, not at all. */
async function createWhole(path: string, text: string): Promise<boolean> {
  const temporary = temporaryPath(path);
  try {
    const descriptor = openSync(temporary, 'wx');
    try {
      writeFileSync(descriptor, text);
    } finally {
      closeSync(descriptor);
    }
    await link(temporary, path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw ioError('lock', path, cause);
  } finally {
    await dropTemporary(temporary);
  }
}

/**
 * Removes the lock of a process that has ended. A process must create the guard file beside it first, so that it cannot
 * remove the lock that another process has made meanwhile.
 */
async function takeAway(path: string, text: string): Promise<void> {
  const guard = `${path}.takeover`;
  if (!(await createWhole(guard, ''))) {
    const { mtimeMs } = await stat(guard).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > GUARD_MILLISECONDS) await rm(guard, { force: true });
    await sleep(RETRY_MILLISECONDS);
    return;
  }
  try {
    if ((await readText(path)) === text) await rm(path, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}

async function release(path: string, own: string): Promise<void> {
  forgetTemporary(path);
  if ((await readText(path)) === own) await rm(path, { force: true }).catch(() => undefined);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readBytes(path, 'the lock')).toString('utf8');
  } catch (cause) {
    if ((cause as HintError).code === 'NOT_FOUND') return undefined;
    throw cause;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
