import { readFileSync } from 'node:fs';

/** CPU seconds of the calling thread so far; those of the whole process where the system does not count threads. */
export function threadCpuSeconds(): number {
  try {
    return Number.parseInt(readFileSync('/proc/thread-self/schedstat', 'utf8'), 10) / 1e9;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }
}
