import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import type { EnergyCounter, OpenedCounter } from './counter.js';

/** Where Linux has the counters of RAPL (Running Average Power Limit), of Intel's and AMD's processors. */
export const POWERCAP = '/sys/class/powercap';

/** A zone and one below it, such as `intel-rapl:0` and `intel-rapl:0:2`; the same zones as `intel-rapl-mmio` are left out. */
const ZONE = /^intel-rapl:\d+(:\d+)?$/;
/**
 * What is added up: whole packages, and memory, which is no part of them. Cores are a part of their package, and `psys` is the whole
 * of the platform, packages included.
 */
const COUNTED = /^(package-\d+(-die-\d+)?|dram)$/;

/**
 * The processors' energy and, where they count it, that of memory.
 *
 * @param folder of Linux's power capping interface
 */
export async function openRapl(folder: string = POWERCAP): Promise<OpenedCounter> {
  const unread = (why: string): OpenedCounter => ({ unread: `The energy of the CPU was not read: ${why}` });
  let entries: string[];
  try {
    entries = await readdir(folder);
  } catch {
    return unread(`there is no ${folder}; virtual machines and containers have none as a rule.`);
  }
  try {
    const zones: Zone[] = [];
    for (const entry of entries.filter((name) => ZONE.test(name)).sort()) {
      const zone = await Zone.open(join(folder, entry));
      if (zone) zones.push(zone);
    }
    if (!zones.some(({ isMemory }) => !isMemory))
      return unread(`${folder} has no zone of a processor package (intel-rapl:N).`);
    return { counter: new RaplCounter(zones) };
  } catch (error) {
    if (error instanceof HintError) return unread(error.message);
    throw error;
  }
}

class RaplCounter implements EnergyCounter {
  readonly name: string;

  constructor(private readonly zones: readonly Zone[]) {
    this.name = zones.some(({ isMemory }) => isMemory) ? 'CPU packages and memory' : 'CPU packages';
  }

  async joules(): Promise<number> {
    let total = 0;
    for (const zone of this.zones) total += await zone.joules();
    return total;
  }
}

/** A counter that begins again at 0 when it has reached its range. */
class Zone {
  private microjoules = 0;

  private constructor(
    private readonly counter: string,
    readonly isMemory: boolean,
    private readonly range: number,
    private last: number,
  ) {}

  /** @returns undefined for a zone that is a part or a sum of others. @throws HintError IO where it cannot be read */
  static async open(folder: string): Promise<Zone | undefined> {
    const name = (await text(join(folder, 'name'))).trim();
    if (!COUNTED.test(name)) return undefined;
    const counter = join(folder, 'energy_uj');
    const range = await number(join(folder, 'max_energy_range_uj'));
    return new Zone(counter, name === 'dram', range, await number(counter));
  }

  async joules(): Promise<number> {
    const now = await number(this.counter);
    this.microjoules += now >= this.last ? now - this.last : now - this.last + this.range;
    this.last = now;
    return this.microjoules / 1e6;
  }
}

async function number(path: string): Promise<number> {
  const found = (await text(path)).trim();
  if (/^\d{1,15}$/.test(found)) return Number(found);
  throw new HintError('IO', `${path} holds ${JSON.stringify(found.slice(0, 40))}, which is no number.`);
}

async function text(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw unreadable(path, cause as NodeJS.ErrnoException);
  }
}

/** @internal The error for a counter that the system does not let this process read. */
export function unreadable(path: string, cause: NodeJS.ErrnoException): HintError {
  const { code = 'an error' } = cause;
  const why =
    code === 'EACCES' || code === 'EPERM'
      ? `${path} may be read by root alone; run as root, or allow it to all with "sudo chmod a+r ${path}".`
      : `${path} cannot be read (${code}).`;
  return new HintError('IO', why, { cause });
}
