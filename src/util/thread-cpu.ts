import { readFileSync } from 'node:fs';

/** CPU seconds that the calling thread has taken so far; where the system does not say, those of the whole process. */
export function threadCpuSeconds(): number {
  try {
    return Number.parseInt(readFileSync('/proc/thread-self/schedstat', 'utf8'), 10) / 1e9;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }
}
