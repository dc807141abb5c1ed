import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { LATENCY_DTYPES } from '../../../benchmark/latency-run.js';
import { HintError } from '../../../util/errors.js';
import { writeFileAtomic } from '../../../util/atomic-file.js';
import { packageVersion } from '../../../util/package-root.js';
import { reportLatency, type LatencyReportOptions } from '../../support/latency-files.js';
import type { ReproduceOptions } from './settings.js';

/** Options of `hint reproduce` that a measurement without training can take. */
const TAKES = new Set([
  'size',
  'init',
  'adapterSize',
  'instances',
  'shots',
  'rounds',
  'demo',
  'output',
  'json',
]);

const EXAMPLES = 100;
const ROUNDS = 5;
const SHOTS = [0, 1, 2, 3, 4, 5];
const ADAPTER = 512;

/** `--demo`: the toy size, a few examples of it. */
const DEMO = { size: 'tiny', adapterSize: 8, examples: 8, rounds: 2, shots: [0, 2, 5] } as const;

/**
 * `hint reproduce figure4`: latency by shots, as `hint bench latency` measures it, into the output of the tables.
 *
 * @throws HintError INVALID_ARGUMENT for options of training; as measureLatency
 */
export async function reproduceFigure4(
  options: ReproduceOptions,
  command: Command,
  signal: AbortSignal,
): Promise<void> {
  const foreign = command.options.find(
    (option) =>
      !TAKES.has(option.attributeName()) && command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (foreign)
    throw wrong(
      `${foreign.long} does not apply to figure4, which times inference on the CPU and trains nothing; it takes --size, --init, --adapter-size, --instances (examples of one sample), --shots, --rounds, --demo, --output and --json. "hint bench latency" has more.`,
    );
  const { init, size, demo, output, json } = options;
  if (init.length > 1 || size?.includes(','))
    throw wrong('figure4 is about one model; give one --init or one --size.');
  if (init.length > 0 && size !== undefined)
    throw wrong('--init and --size exclude each other: figure4 is about one model.');
  if (demo && (init.length > 0 || size !== undefined))
    throw wrong('--demo measures the toy size; leave --init and --size out, or leave --demo out.');
  await reportLatency('figure4', { ...latencyOf(options), log: false, output, json }, signal);
}

/**
 * Figure 4 as a part of all tables: of the first model they start from. Measured once, unless other settings or another version are asked for.
 *
 * @returns whether it was there
 * @throws HintError as measureLatency, IO
 */
export async function measuredFigure4(options: ReproduceOptions, signal: AbortSignal): Promise<boolean> {
  const [init] = options.init;
  const { size, ...rest } = options;
  const [first] = size?.split(',') ?? [];
  const latency = latencyOf({
    ...rest,
    init: init === undefined || options.demo ? [] : [init],
    ...(first === undefined || options.demo ? {} : { size: first }),
  });
  const [settings, results] = ['settings.json', 'json'].map((ending) => join(options.output, `figure4.${ending}`)) as [string, string]; // prettier-ignore
  const wanted = `${JSON.stringify({ version: packageVersion(), ...latency })}\n`;
  const before = await readFile(settings, 'utf8').catch(() => undefined);
  if (existsSync(results) && before === wanted) return true;
  await reportLatency('figure4', { ...latency, log: false, output: options.output, json: false, quiet: true }, signal); // prettier-ignore
  await writeFileAtomic(settings, wanted);
  return false;
}

function latencyOf({
  init,
  size,
  demo,
  ...options
}: ReproduceOptions): Omit<LatencyReportOptions, 'log' | 'output' | 'json'> {
  const small = demo ? DEMO : undefined;
  const [model] = init;
  return {
    ...(model === undefined ? { size: size ?? small?.size ?? 'base' } : { model }),
    adapterSize: options.adapterSize ?? small?.adapterSize ?? ADAPTER,
    shots: options.shots ?? small?.shots ?? SHOTS,
    examples: options.instances ?? small?.examples ?? EXAMPLES,
    rounds: options.rounds ?? small?.rounds ?? ROUNDS,
    dtypes: [...LATENCY_DTYPES],
    systems: demo ? ['hint', 't5'] : ['hint', 't5', 'hf'],
  };
}

function wrong(message: string): HintError {
  return new HintError('INVALID_ARGUMENT', message);
}
