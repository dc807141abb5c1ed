import { access, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { HintError, throwIfAborted } from '../../../util/errors.js';
import type { Device } from '../../../tensor/device.js';
import type { WeightDType } from '../../../tensor/ops.js';
import { caseResult, type CaseResult, type Comparison } from './difference.js';
import { readFixtureInputs, readFixtureJson } from './fixture-inputs.js';
import { verifyModelCase } from './model-case.js';
import { verifyAdafactorCase, verifyTrainingCase } from './optimizer-cases.js';
import { verifyBucketCase } from './bucket-case.js';
import { verifyGreedyCase } from './greedy-case.js';

/** Against the original's f32; docs/architecture.md, "Numbers", has the table of bounds. */
const FORWARD_BOUND: Readonly<Record<WeightDType, number>> = { f32: 2e-5, bf16: 6e-2, int8: 5e-2 };
/** In bf16, most tensors' own bounds are lower: what rounding alone does to them. */
const BF16_GRADIENT_BOUND = 1.6e-1;
/** On CUDA, whose sums run in another order. */
const CUDA_FORWARD_BOUND = 2e-4;
const OPTIMIZER_BOUND = 2e-6;

type Kind = 'model' | 'greedy' | 'adafactor' | 'training' | 'buckets';

/** Runs every fixture below `directory` (or itself) that says something of the dtype, and reports each as it ends. */
export async function verifyDirectory(
  device: Device,
  directory: string,
  dtype: WeightDType,
  signal: AbortSignal | undefined,
  onResult: (result: CaseResult) => void = () => undefined,
): Promise<CaseResult[]> {
  const cases = await findCases(directory);
  const results: CaseResult[] = [];
  for (const { path, kind } of cases) {
    throwIfAborted(signal);
    if (dtype !== 'f32' && kind !== 'model' && kind !== 'greedy') continue;
    const comparisons = await run(device, path, kind, dtype, signal);
    const result = caseResult(basename(path), kind, comparisons);
    results.push(result);
    onResult(result);
  }
  return results;
}

async function run(
  device: Device,
  path: string,
  kind: Kind,
  dtype: WeightDType,
  signal: AbortSignal | undefined,
): Promise<Comparison[]> {
  switch (kind) {
    case 'model': {
      const bound = device.kind === 'cuda' && dtype === 'f32' ? CUDA_FORWARD_BOUND : FORWARD_BOUND[dtype];
      const gradientBound = dtype === 'bf16' ? BF16_GRADIENT_BOUND : bound;
      const inputs = await readFixtureInputs(path);
      return verifyModelCase(device, path, inputs, { dtype, bound, gradientBound }, signal);
    }
    case 'greedy':
      return verifyGreedyCase(device, path, await readFixtureInputs(path), dtype, signal);
    case 'adafactor':
      return verifyAdafactorCase(device, path, OPTIMIZER_BOUND);
    case 'training':
      return verifyTrainingCase(device, path, OPTIMIZER_BOUND, signal);
    case 'buckets':
      return verifyBucketCase(device, path);
  }
}

async function findCases(directory: string): Promise<{ path: string; kind: Kind }[]> {
  let entries;
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch (cause) {
    throw new HintError(
      'NOT_FOUND',
      `The directory ${directory} cannot be read; give a fixture directory or one that holds some.`,
      { cause },
    );
  }
  const own = await kindOf(directory);
  if (own) return [{ path: directory, kind: own }];
  const cases: { path: string; kind: Kind }[] = [];
  for (const entry of entries.filter((one) => one.isDirectory()).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name);
    const kind = await kindOf(path);
    if (kind) cases.push({ path, kind });
  }
  if (cases.length === 0)
    throw new HintError(
      'NOT_FOUND',
      `No fixture was found in ${directory}; a fixture is a folder with expected.safetensors or expected.json.`,
    );
  return cases;
}

/** What a directory is a fixture of, from the files it has: names are the set's own business. */
async function kindOf(directory: string): Promise<Kind | undefined> {
  const has = (name: string): Promise<boolean> =>
    access(join(directory, name)).then(
      () => true,
      () => false,
    );
  if (await has('expected.safetensors'))
    return (await has('inputs.safetensors')) ? 'adafactor' : (await has('config.json')) ? 'model' : undefined;
  if (!(await has('expected.json'))) return undefined;
  const expected = await readFixtureJson(directory, 'expected.json');
  if (typeof expected !== 'object' || expected === null) return undefined;
  if ('tokens' in expected) return 'greedy';
  if ('before_update' in expected) return 'training';
  return 'bidirectional' in expected ? 'buckets' : undefined;
}
