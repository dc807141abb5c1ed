import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { ADAFACTOR, type OptimizerSettings } from '../../src/training/step/optimizer.js';
import type { StepReport } from '../../src/training/step/trainer.js';
import type { TrainerSettings } from '../../src/training/step/trainer-arguments.js';

export const OPTIMIZERS: Readonly<Record<'adafactor' | 'adamw', OptimizerSettings>> = {
  adafactor: ADAFACTOR,
  adamw: { name: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weightDecay: 0.01 },
};

/** What a rank of rank.ts is told. */
export interface RankSettings {
  readonly settings: Partial<TrainerSettings>;
  readonly optimizer: keyof typeof OPTIMIZERS;
  /** Where rank 0 writes {@link RankResult}. */
  readonly output: string;
}

/** What must be equal in equal runs. */
export type StepNumbers = Pick<
  StepReport,
  'step' | 'loss' | 'total' | 'gradientNorm' | 'tokens' | 'microbatches'
>;

export function numbersOf(report: StepReport): StepNumbers {
  const { step, loss, total, gradientNorm, tokens, microbatches } = report;
  return { step, loss, total, gradientNorm, tokens, microbatches };
}

/** Of every rank what it found, and the weights by name. */
export interface RankResult {
  all: { reports: StepNumbers[]; moments: number; values: [string, string][] }[];
  weights: Record<string, number[]>;
}

export async function weightsOf(model: EncoderDecoderModel): Promise<Record<string, number[]>> {
  const weights: Record<string, number[]> = {};
  for (const [name, tensor] of model.parameters.entries()) weights[name] = [...(await tensor.read())];
  return weights;
}

/** The largest max |a − b| / max |b| of a tensor. */
export function worstOf(a: Record<string, number[]>, b: Record<string, number[]>): number {
  return Math.max(
    ...Object.entries(b).map(([name, values]) => {
      const largest = Math.max(...values.map(Math.abs));
      return Math.max(...values.map((value, i) => Math.abs(value - a[name]![i]!))) / largest;
    }),
  );
}

const ROOT = resolve(import.meta.dirname, '..', '..');

/** How many cores there are does not say how many ranks a test has. */
export const MPIRUN = ['--oversubscribe', ...(process.getuid?.() === 0 ? ['--allow-run-as-root'] : [])];

/** Runs rank.ts as so many ranks. */
export async function trainAsRanks(count: number, settings: RankSettings): Promise<RankResult> {
  const viteNode = join(ROOT, 'node_modules', 'vite-node', 'vite-node.mjs');
  const script = join(import.meta.dirname, 'rank.ts');
  const config = join(dirname(settings.output), 'vite.config.mjs');
  writeFileSync(config, 'export default { esbuild: { target: "node20" } };');
  const command = [process.execPath, viteNode, '--config', config, script, JSON.stringify(settings)];
  await new Promise<void>((done, fail) => {
    execFile('mpirun', [...MPIRUN, '-n', String(count), ...command], (error, _, stderr) =>
      error ? fail(new Error(`${error.message}\n${stderr}`)) : done(),
    );
  });
  return JSON.parse(readFileSync(settings.output, 'utf8')) as RankResult;
}
