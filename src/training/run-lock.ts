import { randomBytes } from 'node:crypto';
import { link, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { HintError } from '../errors.js';
import { ioError } from './atomic-directory.js';

const ownerSchema = z.object({
  pid: z.int().positive(),
  host: z.string(),
  /** Tells a process from a later one with its number; null where the system does not say. */
  processStart: z.string().nullable(),
  /** ISO 8601, for people. */
  since: z.string(),
});

type Owner = z.infer<typeof ownerSchema>;

const LOCK_FILE = 'lock.json';
const ATTEMPTS = 50;
const RETRY_MILLISECONDS = 20;
// Taking over lasts a few milliseconds; an older guard was left by a kill in the middle of it.
const GUARD_MILLISECONDS = 10_000;

/**
 * Keeps a run directory to one process: two would write each other's checkpoints and metrics. The lock is a file that
 * names its process; one whose process is gone, as after a kill, is taken over.
 *
 * @returns gives the lock back
 * @throws HintError INVALID_ARGUMENT naming the process that works there, IO
 */
export async function lockRun(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, LOCK_FILE);
  const own = `${JSON.stringify(await thisProcess())}\n`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (await createWhole(path, own)) return () => release(path, own);
    const found = await readText(path);
    if (found === undefined) continue;
    const owner = parseOwner(found);
    if (owner && (await isRunning(owner))) throw inUse(directory, path, owner);
    await takeAway(path, found);
  }
  throw new HintError(
    'INVALID_ARGUMENT',
    `Other processes are taking over ${directory} at this moment; try again, or give another output directory.`,
  );
}

function inUse(directory: string, path: string, { pid, host, since }: Owner): HintError {
  const elsewhere =
    host === hostname() ? '' : ` on ${host}; if that machine no longer works on it, delete ${path}`;
  return new HintError(
    'INVALID_ARGUMENT',
    `Process ${pid} has been training in ${directory} since ${since}${elsewhere}; wait for it, stop it, or give another output directory.`,
  );
}

async function thisProcess(): Promise<Owner> {
  return {
    pid: process.pid,
    host: hostname(),
    processStart: await startOf(process.pid),
    since: new Date().toISOString(),
  };
}

/** When a process of this machine started, in the system's own words; null when there is none or nobody says. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may hold anything; the start is the 20th field behind it.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    return ticks === undefined ? null : `${boot.trim()} ${ticks}`;
  } catch {
    return null;
  }
}

/** A process of another machine cannot be asked; it counts as running. */
async function isRunning({ pid, host, processStart }: Owner): Promise<boolean> {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return processStart === null || processStart === (await startOf(pid));
}

/** Makes the file with all of its content or, when there is one already, not at all. */
async function createWhole(path: string, text: string): Promise<boolean> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await writeFile(temporary, text, { flag: 'wx' });
    await link(temporary, path);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw ioError('lock', path, cause);
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined);
  }
}

/**
 * Removes the lock of a process that is gone. Only who makes the guard beside it may, so that nobody removes the lock
 * that another has put in its place meanwhile.
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
  if ((await readText(path)) === own) await rm(path, { force: true }).catch(() => undefined);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw ioError('read', path, cause);
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    return ownerSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
