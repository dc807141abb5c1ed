import { HintError, throwIfAborted } from '../util/errors.js';

/** Inputs of one batch that peers are tried with. */
const BATCHES = [1, 2, 4, 8, 16, 25, 50, 100];
/** The fewest inputs of a short trial: one large batch, or several small ones. */
const TRIAL_ROWS = 4;
/**
 * Larger batches are not tried after one that takes this many times the seconds per input of the best with the same
 * memory.
 */
const GIVE_UP = 2;
/** Number of the best short trials that are tried with all inputs. */
const FINALISTS = 2;

/** Whether glibc returns memory to the system, its default, or keeps it for its next use, in pages of 2 MiB as this engine does. */
export type PeerMemory = 'system' | 'kept';

/** The environment variables that make glibc do so. Other C libraries ignore them. */
export const MEMORY_ENVIRONMENT: Readonly<Record<PeerMemory, Readonly<Record<string, string>>>> = {
  system: {},
  kept: {
    MALLOC_ARENA_MAX: '1',
    MALLOC_MMAP_MAX_: '0',
    MALLOC_TRIM_THRESHOLD_: '20000000000',
    GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1',
  },
};

/** A way of computing, as a part of the requests to a peer. */
export interface PeerVariant {
  /** For reports: `sdpa attention, bf16 autocast`. */
  readonly name: string;
  readonly request: Readonly<Record<string, string | number | boolean | null>>;
}

/** How a peer is run. */
export interface PeerSetting {
  readonly batch: number;
  readonly memory: PeerMemory;
  readonly variant: PeerVariant;
}

/** Everything that a peer could be run with. */
export interface SettingSpace {
  readonly batches: readonly number[];
  readonly memories: readonly PeerMemory[];
  /** The first that works is tried with every batch and memory, later ones with the best of these only. */
  readonly variants: readonly [PeerVariant, ...PeerVariant[]];
  /** Variants that take long to set up; they are tried with the best setting only. */
  readonly dearVariants?: (best: PeerVariant) => readonly PeerVariant[];
}

/** The setting that a peer is fastest with. */
export interface FoundSetting extends PeerSetting {
  /** Of its longest trial. */
  readonly secondsPerExample: number;
  /** Settings that were tried and worked. */
  readonly tried: number;
  /** Why others did not work, each reason once. */
  readonly failed: readonly string[];
}

/** The setting that a peer was fastest with as results keep it. */
export interface MeasuredSetting {
  readonly batch: number;
  readonly memory: PeerMemory;
  /** The other choices: kind of attention, dtype of products, use of threads. */
  readonly how: string;
  /** Settings that were tried and worked. */
  readonly tried: number;
  /** Why other settings failed. */
  readonly failed: readonly string[];
}

/** Takes a trial: seconds for the first `rows` inputs. */
export type PeerTrial = (setting: PeerSetting, rows: number) => Promise<number>;

interface Tried {
  readonly setting: PeerSetting;
  readonly rows: number;
  readonly secondsPerExample: number;
}

/** Batch sizes to try with so many inputs: up to all of them at once. */
export function peerBatches(rows: number): number[] {
  return [...new Set([...BATCHES, ...(rows < (BATCHES.at(-1) as number) ? [rows] : [])])]
    .filter((batch) => batch <= rows)
    .sort((a, b) => a - b);
}

/**
 * Finds the fastest setting of a peer in few trials: every batch and memory in a short trial, then the best of them
 * with every other variant, then the best two with all inputs. A setting that the peer refuses or that kills it is left
 * out.
 *
 * @param rows how many inputs there are
 * @param shortest inputs of a trial at least
 * @throws HintError NOT_SUPPORTED where nothing works, with the reason; ABORTED
 */
export async function findSetting(
  { batches, memories, variants, dearVariants }: SettingSpace,
  rows: number,
  trial: PeerTrial,
  { shortest = TRIAL_ROWS, signal }: { shortest?: number; signal?: AbortSignal | undefined } = {},
): Promise<FoundSetting> {
  const all = new Map<string, Tried>();
  const failed = new Set<string>();
  const attempt = async (setting: PeerSetting, count: number): Promise<number> => {
    throwIfAborted(signal);
    const known = all.get(keyOf(setting));
    if (known && known.rows >= count) return known.secondsPerExample;
    try {
      const secondsPerExample = (await trial(setting, count)) / count;
      all.set(keyOf(setting), { setting, rows: count, secondsPerExample });
      return secondsPerExample;
    } catch (error) {
      if (!(error instanceof HintError) || error.code !== 'NOT_SUPPORTED') throw error;
      all.delete(keyOf(setting));
      failed.add(`${settingWords(setting)}: ${error.message}`);
      return Infinity;
    }
  };
  const short = (setting: PeerSetting): Promise<number> =>
    attempt(setting, Math.min(rows, Math.max(setting.batch, shortest)));

  for (const variant of variants) {
    // The others are tried with its best, where it works at all.
    if (all.size > 0) break;
    for (const memory of memories) {
      let best = Infinity;
      for (const batch of batches) {
        const seconds = await short({ batch, memory, variant });
        if (seconds > GIVE_UP * best) break;
        best = Math.min(best, seconds);
      }
    }
  }
  const [base] = bestOf(all);
  const others = variants.slice(variants.findIndex(({ name }) => name === base?.setting.variant.name) + 1);
  for (const { setting } of bestOf(all)) for (const variant of others) await short({ ...setting, variant });
  const [leader] = bestOf(all);
  if (leader && dearVariants)
    for (const variant of dearVariants(leader.setting.variant)) await short({ ...leader.setting, variant });
  const finalists = bestOf(all);
  for (const { setting } of finalists) await attempt(setting, rows);
  // Times of trials of different lengths are not compared: a finalist was tried with all inputs.
  const winner = finalists.flatMap(({ setting }) => all.get(keyOf(setting)) ?? []).sort(byTime)[0];
  if (!winner) throw new HintError('NOT_SUPPORTED', [...failed][0] ?? 'There was no setting to try.');
  return {
    ...winner.setting,
    secondsPerExample: winner.secondsPerExample,
    tried: all.size,
    failed: [...failed],
  };
}

function bestOf(all: ReadonlyMap<string, Tried>): Tried[] {
  return [...all.values()].sort(byTime).slice(0, FINALISTS);
}

function byTime(a: Tried, b: Tried): number {
  return a.secondsPerExample - b.secondsPerExample;
}

function keyOf({ batch, memory, variant }: PeerSetting): string {
  return `${batch} ${memory} ${variant.name}`;
}

const MEMORY_WORDS: Readonly<Record<PeerMemory, string>> = {
  system: 'memory given back as the C library does',
  kept: 'glibc told to keep memory in huge pages',
};

/** `batches of 16, glibc told to keep memory, sdpa attention`. */
export function settingWords({ batch, memory, variant }: PeerSetting): string {
  return `batches of ${batch}, ${MEMORY_WORDS[memory]}${variant.name ? `, ${variant.name}` : ''}`;
}

/** The kinds of memory to try: both on a CPU under Linux. */
export function peerMemories(device: string): readonly PeerMemory[] {
  return process.platform === 'linux' && device === 'cpu' ? ['kept', 'system'] : ['system'];
}

/** @returns the setting as results keep it */
export function settingOf({ batch, memory, variant, tried, failed }: FoundSetting): MeasuredSetting {
  return { batch, memory, how: variant.name, tried, failed };
}

/** {@link settingWords} of what results keep. */
export function measuredWords({ batch, memory, how }: MeasuredSetting): string {
  return settingWords({ batch, memory, variant: { name: how, request: {} } });
}
