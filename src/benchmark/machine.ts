import { execFile } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { platformReport } from '../tensor/device.js';
import { packageRoot } from '../util/package-root.js';

/** The machine and the versions a measurement was taken with. */
export interface MachineDescription {
  readonly cpu: string;
  readonly cores: number;
  readonly isa: readonly string[];
  readonly memoryGiB: number;
  readonly node: string;
}

/** The circumstances of one measurement: time, commit, load. */
export interface MomentDescription {
  readonly started: string;
  /** `unknown` outside a repository. */
  readonly commit: string;
  readonly uncommitted: boolean;
  readonly loadAverage: readonly number[];
  readonly cores: number;
}

/** @throws HintError NATIVE_MISSING */
export function describeMachine(): MachineDescription {
  const { cores, isa } = platformReport();
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores,
    isa,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
}

/** Call before measuring, so that the load average is that of other processes. */
export async function describeMoment(): Promise<MomentDescription> {
  const git = (...words: string[]): Promise<string> =>
    promisify(execFile)('git', words, { cwd: packageRoot() }).then(
      ({ stdout }) => stdout.trim(),
      () => '',
    );
  const [commit, changes] = await Promise.all([
    git('rev-parse', '--short=12', 'HEAD'),
    git('status', '--porcelain', '--', 'native', 'bindings', 'src'),
  ]);
  return {
    started: new Date().toISOString(),
    commit: commit || 'unknown',
    uncommitted: changes !== '',
    loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
    cores: platformReport().cores,
  };
}

/** A CPU's name as part of a file name. */
export function cpuSlug(model: string): string {
  const words = model.replace(/\((r|tm)\)|cpu|processor|@/gi, ' ').match(/[a-z0-9.]+/gi) ?? ['cpu'];
  return words.join('-').toLowerCase();
}

/** When and under which load a part was measured, as a sentence. */
export function momentSentence({
  started,
  commit,
  uncommitted,
  loadAverage,
  cores,
}: MomentDescription): string {
  const busy = (loadAverage[0] ?? 0) > 1.5 * cores;
  return `Measured ${started.slice(0, 16).replace('T', ' ')} UTC at ${commit}${uncommitted ? ' with uncommitted changes' : ''}, load average ${loadAverage.join(', ')} before the start${busy ? ': **the machine was busy with other work**, times are too high and ratios rough' : ''}.`;
}
