import { markdownTable } from '../../util/markdown.js';
import { shownMarkdown } from '../../util/shown.js';
import { momentSentence, type MomentDescription } from '../machine.js';
import type { ProfileRoofs } from './profile-roofs.js';
import type { ProfiledCall } from './recorder.js';

/** Calls of one op in one phase. */
export interface ProfileRow {
  readonly phase: string;
  /** Of the op table; absent in the sum of a phase. */
  readonly op?: string;
  readonly pass?: ProfiledCall['pass'];
  /** Per sample, as are all following members. */
  readonly calls: number;
  readonly seconds: number;
  /** Share of the whole sample, 0–1. */
  readonly share: number;
  readonly flops: number;
  /** Read and written at least. */
  readonly bytes: number;
  /**
   * Time at the roofs divided by the measured time; the time at the roofs is, for each call, the longer of products and
   * memory.
   */
  readonly shareOfRoof: number;
  readonly bound: 'products' | 'memory';
  /** Share of the time of all threads, 0–1, in which no thread of this process ran. */
  readonly idle: number;
  /** Before its calls, with nothing for the device to do. */
  readonly waitSeconds: number;
}

/** One thing that was profiled. */
export interface Profile {
  /** `HINT in int8, 5 shots`. */
  readonly name: string;
  /** Of one sample, profiled. */
  readonly seconds: number;
  /** The same work without a profile, the median. */
  readonly plainSeconds: number;
  /** Sums of phases, in the order in which they began. */
  readonly phases: readonly ProfileRow[];
  /** The longest first. */
  readonly ops: readonly ProfileRow[];
}

/** The results of a profile. */
export interface ProfilePart extends MomentDescription {
  readonly model: string;
  readonly threads: number;
  /** What a sample is, in words. */
  readonly sample: string;
  readonly roofs: ProfileRoofs;
  readonly profiles: readonly Profile[];
}

/** Sums calls up, by phase and by op of a phase. */
export function profileOf(
  name: string,
  samples: readonly { readonly calls: readonly ProfiledCall[]; readonly seconds: number }[],
  plainSeconds: number,
  roofs: ProfileRoofs,
  threads: number,
): Profile {
  const calls = samples.flatMap((sample) => sample.calls);
  const seconds = samples.reduce((sum, sample) => sum + sample.seconds, 0);
  const rowsBy = (keyOf: (call: ProfiledCall) => string, named: boolean): ProfileRow[] => {
    const groups = new Map<string, ProfiledCall[]>();
    for (const call of calls) {
      const group = groups.get(keyOf(call));
      if (group) group.push(call);
      else groups.set(keyOf(call), [call]);
    }
    return [...groups.values()].map((group) => {
      const [{ phase, op, pass }] = group as [ProfiledCall];
      const sum = (value: (call: ProfiledCall) => number): number =>
        group.reduce((total, call) => total + value(call), 0);
      const products = sum(({ flops, dtype }) => flops / productRoof(roofs, dtype));
      const memory = sum(({ bytes }) => bytes / roofs.memory);
      const least = sum((call) => Math.max(call.flops / productRoof(roofs, call.dtype), call.bytes / roofs.memory)); // prettier-ignore
      const [busy, waiting] = [sum((call) => call.seconds), sum((call) => call.waitSeconds)];
      const each = (value: number): number => value / samples.length;
      return {
        phase,
        ...(named && { op, pass }),
        calls: each(group.length),
        seconds: each(busy),
        share: busy / seconds,
        flops: each(sum((call) => call.flops)),
        bytes: each(sum((call) => call.bytes)),
        shareOfRoof: least / busy,
        bound: products >= memory ? 'products' : 'memory',
        idle: Math.max(0, 1 - sum((call) => call.cpuSeconds) / ((busy + waiting) * threads)),
        waitSeconds: each(waiting),
      };
    });
  };
  return {
    name,
    seconds: seconds / samples.length,
    plainSeconds,
    phases: rowsBy(({ phase }) => phase, false),
    ops: rowsBy(({ phase, op, pass }) => `${phase} ${op} ${pass}`, true).sort(
      (a, b) => b.seconds - a.seconds,
    ),
  };
}

function productRoof({ products }: ProfileRoofs, dtype: string): number {
  return products[dtype === 'i8' ? 'int8' : dtype === 'bf16' ? 'bf16' : 'f32'] ?? products.f32;
}

/** A run as Markdown, without a heading of its own. */
export function profileMarkdown(part: ProfilePart): string {
  const { products, memory } = part.roofs;
  const roofs = Object.entries(products).map(
    ([dtype, flops]) => `${(flops / 1e9).toFixed(0)} GFLOP/s in ${dtype}`,
  );
  return [
    momentSentence(part),
    `${shownMarkdown(part.model)}, ${part.threads} threads; ${part.sample}. Roofs: products of ${roofs.join(', ')} (2048³, the best before and after), memory ${(memory / 1e9).toFixed(1)} GB/s. Bytes are those that a call must read and write at least. Idle: processor time that the process did not use while the op ran or was waited for; what other programs take counts as idle, too. Waiting: the device had nothing to do.`,
    ...part.profiles.flatMap((profile) => [
      `**${shownMarkdown(profile.name)}**: ${duration(profile.seconds)} a sample with the profile, ${duration(profile.plainSeconds)} without (median).`,
      tableOf(profile.phases),
      tableOf(profile.ops),
    ]),
  ].join('\n\n');
}

function tableOf(rows: readonly ProfileRow[]): string {
  const named = rows.some(({ op }) => op !== undefined);
  const head = ['phase', ...(named ? ['op'] : []), 'calls', 'time', 'share', 'of its roof', 'bound by', 'moved', 'threads idle', 'waiting']; // prettier-ignore
  return markdownTable(
    head,
    rows.map((row) => [
      row.phase,
      ...(named ? [`${row.op}${row.pass === 'backward' ? ' backward' : ''}`] : []),
      Math.round(row.calls),
      duration(row.seconds),
      percent(row.share),
      percent(row.shareOfRoof),
      row.bound,
      `${(row.bytes / 2 ** 20).toFixed(1)} MiB`,
      percent(row.idle),
      duration(row.waitSeconds),
    ]),
  ).join('\n');
}

function duration(seconds: number): string {
  return seconds < 1 ? `${(seconds * 1000).toFixed(1)} ms` : `${seconds.toFixed(2)} s`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
