import { HintError } from '../../util/errors.js';
import { openGpuEnergy } from './nvml.js';
import { openRapl } from './rapl.js';
import type { EnergyCounter } from './counter.js';

/** The energy of a run. */
export interface EnergyPart {
  /** What was counted, added up; none: no energy was read. */
  readonly counters: readonly string[];
  /** Why others were not, each a sentence. */
  readonly unread: readonly string[];
  /** Joules of every sample, by its measurement's name: of everything that the machine did meanwhile. */
  readonly joules: Readonly<Record<string, readonly number[]>>;
}

/** Milliseconds between two looks at counters, so that none goes round twice unseen. */
const LOOK = 60_000;

/** Counts the energy of samples. */
export class EnergyMeter {
  private readonly joules: Record<string, number[]> = {};
  private reading: Promise<unknown> = Promise.resolve();

  constructor(
    private counters: readonly EnergyCounter[],
    private readonly unread: string[] = [],
  ) {}

  /**
   * Opens what counts energy on this machine.
   *
   * @param devices what computes, such as `cpu` and `cuda:1`: the processors are counted always, GPUs that are named
   * @param powercap the folder of the processors' counters
   */
  static async open(devices: readonly string[], powercap?: string): Promise<EnergyMeter> {
    const gpus = [...new Set(devices)].filter((device) => device !== 'cpu');
    const opened = [await openRapl(powercap), ...gpus.map((device) => openGpuEnergy(device))];
    return new EnergyMeter(
      opened.flatMap(({ counter }) => counter ?? []),
      opened.flatMap(({ unread }) => unread ?? []),
    );
  }

  /** Runs a sample and keeps what it took under its measurement's name. */
  async during<T>(name: string, sample: () => Promise<T>): Promise<T> {
    if (this.counters.length === 0) return sample();
    const before = await this.read();
    const looking = setInterval(() => void this.read().catch(() => undefined), LOOK);
    looking.unref();
    try {
      const result = await sample();
      const after = await this.read();
      if (before !== undefined && after !== undefined) (this.joules[name] ??= []).push(after - before);
      return result;
    } finally {
      clearInterval(looking);
    }
  }

  /** What was counted. */
  get part(): EnergyPart {
    const counters = this.counters.map(({ name }) => name);
    return { counters, unread: this.unread, joules: counters.length === 0 ? {} : this.joules };
  }

  /** Joules of all counters, one reading after the other; undefined where one has failed, with which the rest is of no use. */
  private read(): Promise<number | undefined> {
    const next = this.reading.then(async () => {
      try {
        let total = 0;
        for (const counter of this.counters) total += await counter.joules();
        return this.counters.length === 0 ? undefined : total;
      } catch (error) {
        if (!(error instanceof HintError)) throw error;
        this.counters = [];
        this.unread.push(`Energy was not read to the end: ${error.message}`);
        return undefined;
      }
    });
    this.reading = next.catch(() => undefined);
    return next;
  }
}

/** Joules in a table, with three digits. */
export function joulesWords(joules: number): string {
  return Number(joules.toPrecision(3)).toString();
}

/**
 * What of the energy was counted, and of what, as a sentence for reports; none for results without energy.
 *
 * @param what the samples' work: `100 examples`
 */
export function energySentences(energy: EnergyPart | undefined, what: string): string[] {
  if (!energy) return [];
  const { counters, unread } = energy;
  return [
    ...(counters.length === 0
      ? []
      : [
          `Energy: of ${what}, by ${counters.join(' and ')}, counted by the hardware while the samples ran: it includes what the machine takes when it is idle, and other work that it did.`,
        ]),
    ...unread,
  ];
}
