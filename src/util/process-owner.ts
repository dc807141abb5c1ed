import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** The identity of a process, also for processes of other containers and hosts. */
export interface ProcessOwner {
  readonly pid: number;
  readonly host: string;
  /** The PID namespace, because each container counts processes from 1. Null where the system does not say. */
  readonly namespace: string | null;
  /** Changes with every start of the machine; null where the system does not say. */
  readonly boot: string | null;
  /** When it started, in ticks since the machine did: tells it from a later process with its number. */
  readonly start: string | null;
}

/** The calling process. */
export function thisProcess(): ProcessOwner {
  return {
    pid: process.pid,
    host: hostname(),
    namespace: orNull(() => readlinkSync('/proc/self/ns/pid')),
    boot: orNull(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    start: readStat(process.pid)?.start ?? null,
  };
}

/**
 * Whether a process has certainly ended. A process of another host or container counts as running, because it cannot be
 * checked; so does one that cannot be told from a later process with the same number.
 *
 * @param seen {@link thisProcess}, in the form (whole or shortened) that `owner` has
 */
export function hasEnded(owner: ProcessOwner, seen: ProcessOwner): boolean {
  if (owner.host !== seen.host) return false;
  if (differ(owner.boot, seen.boot)) return true;
  if (differ(owner.namespace, seen.namespace)) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  const found = readStat(owner.pid);
  return found !== null && (found.isGone || differ(owner.start, found.start));
}

/** Both are known, and they are not the same. */
function differ(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other;
}

/** What the system says of a process; null where it says nothing. */
function readStat(pid: number): { readonly start: string | null; readonly isGone: boolean } | null {
  return orNull(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Fields are separated by spaces, which the name in parentheses may hold too. Behind it stand the state and, as the 18th
    // and the 20th field, how many threads there are and the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A process that was killed keeps its number until its parent asks for its exit code, which some parents never do.
    const isGone = fields[0] === 'X' || (fields[0] === 'Z' && Number(fields[17]) <= 1);
    return { start: fields[19] ?? null, isGone };
  });
}

function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
