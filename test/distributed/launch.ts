import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TrainingConfigInput } from '../../src/training/config/config.js';
import { openSafetensors, toFloat32InPieces } from '../../src/formats/safetensors/file.js';
import { tinyRun } from '../training/run-setup.js';

const ROOT = resolve(import.meta.dirname, '..', '..');
const HINT = join(ROOT, 'dist', 'bundle', 'cli', 'main.js');
// Cores do not say how many ranks a test has.
const MPIRUN = ['--oversubscribe', ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : [])];

/** Whether there is a launcher, and the engine was built for it. */
export const HAS_MPI = isThere('mpirun', 'openmpi');
export const HAS_MPICH = isThere('mpiexec.mpich', 'mpich');

function isThere(launcher: string, implementation: string): boolean {
  try {
    execFileSync(launcher, ['--version'], { stdio: 'ignore' });
    return existsSync(join(ROOT, 'build', 'Release', `hint_mpi_${implementation}.so`));
  } catch {
    return false;
  }
}

/** What runs `hint`, as words. */
export const HINT_COMMAND: readonly string[] = [process.execPath, HINT];

/** A command that has ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  /** Without what mpirun says itself. */
  readonly stderr: string;
  readonly seconds: number;
}

/** A command under way. */
export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts `hint` as so many ranks; as 1 without a launcher. */
export function startHint(
  ranks: number,
  words: readonly string[],
  env: Record<string, string> = {},
): Started {
  const command = [...HINT_COMMAND, ...words];
  const [file, given] =
    ranks === 1 ? [command[0]!, command.slice(1)] : ['mpirun', [...MPIRUN, '-n', String(ranks), ...command]];
  return startCommand(file, given, env);
}

/** Starts any command. */
export function startCommand(
  file: string,
  given: readonly string[],
  env: Record<string, string> = {},
): Started {
  const began = performance.now();
  const child = spawn(file, given, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]!.on('data', (data: Buffer) => (said[name] += data.toString()));
  const ended = new Promise<Ended>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => done({ code, ...said, seconds: (performance.now() - began) / 1000 }));
  });
  return { child, ended };
}

/** Runs `hint` as so many ranks to its end, which must be a good one. */
export async function runHint(ranks: number, words: readonly string[]): Promise<Ended> {
  const ended = await startHint(ranks, words).ended;
  if (ended.code !== 0) throw new Error(`Exit code ${ended.code}: ${ended.stderr}`);
  return ended;
}

/** Writes the configuration of a tiny run; its folder is `name` beside it. */
export function configured(
  scratch: string,
  name: string,
  changes: Partial<TrainingConfigInput> = {},
): { config: string; output: string } {
  const output = join(scratch, name);
  const config = join(scratch, `${name}.json`);
  writeFileSync(config, JSON.stringify(tinyRun(output, changes)));
  return { config, output };
}

/** The tensors of a file. */
export async function tensorsOf(path: string): Promise<Map<string, Float32Array>> {
  await using file = await openSafetensors(path);
  const tensors = new Map<string, Float32Array>();
  for (const [name, { dtype }] of file.tensors)
    tensors.set(name, await toFloat32InPieces(await file.read(name), dtype));
  return tensors;
}

/** The weights of a run's model. */
export function weightsOf(output: string): Promise<Map<string, Float32Array>> {
  return tensorsOf(join(output, 'model', 'model.safetensors'));
}

/** The largest max |a − b| / max |b| of a tensor. */
export function worstOf(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  if ([...a.keys()].sort().join() !== [...b.keys()].sort().join()) return Infinity;
  return Math.max(
    ...[...b].map(([name, values]) => {
      const other = a.get(name)!;
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const apart = values.reduce((most, value, i) => Math.max(most, Math.abs(value - other[i]!)), 0);
      return apart === 0 ? 0 : apart / largest;
    }),
  );
}

/** The lines of a run's metrics. */
export function metricsOf(output: string): Record<string, number>[] {
  const text = readFileSync(join(output, 'metrics.jsonl'), 'utf8').trim();
  return text.split('\n').map((line) => JSON.parse(line) as Record<string, number>);
}

/**
 * The process of a rank of a run with this configuration.
 *
 * @param variable in which its launcher has told it its rank
 */
export function processOf(config: string, rank: number, variable = 'OMPI_COMM_WORLD_RANK'): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const read = (pid: string, what: string): string[] => {
    try {
      return readFileSync(`/proc/${pid}/${what}`, 'utf8').split('\0');
    } catch {
      return [];
    }
  };
  const found = pids.find(
    (pid) => read(pid, 'cmdline').includes(config) && read(pid, 'environ').includes(`${variable}=${rank}`),
  );
  if (found === undefined) throw new Error(`No process is rank ${rank} of ${config}.`);
  return Number(found);
}

/** Waits until a command that is under way has written a file. */
export async function untilThere(path: string, { ended }: Started): Promise<void> {
  let end: Ended | undefined;
  void ended.then((how) => (end = how));
  while (!existsSync(path)) {
    if (end) throw new Error(`It ended with ${end.code} before it wrote ${path}: ${end.stderr}`);
    await new Promise((again) => setTimeout(again, 20));
  }
}
