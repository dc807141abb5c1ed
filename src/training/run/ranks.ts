import { defaultMemoryBudget } from '../../accounting/memory-budget.js';
import type { Group } from '../../distributed/group.js';
import type { TrainableModel } from '../../model/trainable/trainable.js';
import * as ops from '../../tensor/ops.js';
import type { Sliced } from '../../tensor/slices.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sha256Hex } from '../../util/hash.js';
import { packageVersion } from '../../util/package-root.js';
import type { TrainingConfig } from '../config/config.js';
import type { DeviceSettings, MemorySettings } from '../config/parts.js';
import type { MemoryPlan } from '../memory/memory-plan.js';
import type { RunData } from '../validation/validation-set.js';
import type { Checkpoint, RunDirectory } from './run-directory.js';

// What a host may have of its own.
const OWN_SETTINGS = ['device', 'threads', 'memoryBudget'];

/** @throws HintError INVALID_CONFIG where ranks have different settings, or are different versions */
export async function requireSameSettings(ranks: Group | undefined, config: TrainingConfig): Promise<void> {
  if (!ranks) return;
  const settings = Object.entries(config).filter(([name]) => !OWN_SETTINGS.includes(name));
  await ranks.requireSame(
    { 'the version of hint-engine': packageVersion(), ...Object.fromEntries(settings) },
    'start all of them alike.',
  );
}

/** @throws HintError INVALID_CONFIG where ranks read different data, or see another checkpoint */
export async function requireSameStart(
  ranks: Group | undefined,
  { data: { source, validation }, checkpoint }: { data: RunData; checkpoint: Checkpoint | undefined },
): Promise<void> {
  await ranks?.requireSame(
    {
      'the number of training examples': source.size,
      'the fingerprint of the training data': source.fingerprint,
      'the fingerprint of the validation data': validation?.fingerprint,
      'the checkpoint to go on from': checkpoint?.step,
    },
    'give all hosts the same files, such as by a disk that they share.',
  );
}

/** The hosts that do not see the folder in which rank 0, which has locked it, writes the run. */
export async function hostsApart(ranks: Group | undefined, directory: RunDirectory): Promise<string[]> {
  if (!ranks) return [];
  const own = ranks.rank === 0 ? await directory.lockText() : undefined;
  const [written] = await ranks.exchange(own ?? null, 'learn where rank 0 writes');
  const isShared = (await directory.lockText()) === written;
  const all = await ranks.exchange(isShared, 'learn which hosts share a disk');
  return [...new Set(ranks.places.filter(({ rank }) => !all[rank]).map(({ host }) => host))];
}

/** @throws HintError INVALID_CONFIG where ranks have different weights */
export async function requireSameModel(ranks: Group | undefined, model: TrainableModel): Promise<void> {
  if (!ranks) return;
  const norms = await model.device.inSlices(model.device.tidied(squareNorms(model)));
  const digest = sha256Hex(new Uint8Array(await norms.readBytes())).slice(0, 16);
  norms.dispose();
  await ranks.requireSame(
    { 'the digest of the weights': digest },
    'give all hosts the same model, such as by a disk that they share.',
  );
}

/** Of every parameter, [parameters]: two models that differ have the same ones only on purpose. */
function* squareNorms(model: TrainableModel): Sliced<Tensor> {
  const entries = [...model.parameters.storedEntries()];
  const norms = model.device.full([entries.length], 0);
  for (const [i, [, parameter]] of entries.entries()) {
    ops.addSquareNorm(parameter, norms.narrow(i, i + 1));
    yield;
  }
  return norms;
}

/**
 * Has the first rank of each host do something before the others of that host: what it leaves in a cache, they find there.
 */
export async function inTurns<T>(ranks: Group | undefined, work: () => Promise<T>): Promise<T> {
  if (!ranks) return work();
  const isFirst = ranks.localRank === 0;
  const first = isFirst ? await work() : undefined;
  await ranks.exchange(null, 'have the data read by the first rank of each host');
  return isFirst ? (first as T) : work();
}

/** The plan that rank 0 makes, for all. */
export async function planOfFirst(
  ranks: Group | undefined,
  plan: () => Promise<MemoryPlan>,
): Promise<MemoryPlan> {
  return ranks ? ranks.fromFirst(plan, 'learn how rank 0 spends memory') : plan();
}

/** The memory that a rank may plan with, where settings leave it open: ranks of a host share what it has. */
export function budgetOfRank<S extends MemorySettings & DeviceSettings>(
  settings: S,
  ranks: Group | undefined,
): S {
  if (!ranks || settings.memoryBudget !== undefined || settings.device !== 'cpu') return settings;
  const memoryBudget = Math.floor(defaultMemoryBudget(settings.device) / ranks.localSize);
  return { ...settings, memoryBudget };
}
