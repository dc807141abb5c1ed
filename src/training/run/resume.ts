import { HintError } from '../../util/errors.js';
import type { TrainingConfig } from '../config/config.js';
import type { CheckpointSettings } from '../config/parts.js';
import type { RunData } from '../validation/validation-set.js';
import {
  changesOf,
  changesScores,
  checkFixed,
  checkNamed,
  describeChanges,
  type SettingChange,
} from './changes.js';
import type { TrainOptions } from './events.js';
import type { Checkpoint, DamagedCheckpoint, RunDirectory } from './run-directory.js';

/** A run as it is gone on with. */
export interface OpenedRun {
  /** Undefined where it has taken no step yet. */
  readonly checkpoint: Checkpoint | undefined;
  /** What it has differently from here on, as it was asked to. */
  readonly changes: readonly SettingChange[];
}

/** Checks that the run can go on under this configuration, and cleans up after a kill. */
export async function openRun(
  directory: RunDirectory,
  config: TrainingConfig,
  { changes: named = [], signal, onEvent }: TrainOptions,
): Promise<OpenedRun> {
  const before = await directory.readConfig();
  checkFixed(directory.path, before, config);
  const [taken = 0] = await directory.checkpointSteps();
  const changes = taken > 0 ? changesOf(before, config, taken) : [];
  checkNamed(directory.path, changes, named);
  await directory.clean();
  const damaged: DamagedCheckpoint[] = [];
  const checkpoint = await directory.latestCheckpoint((found) => damaged.push(found), signal);
  for (const { path, fault } of damaged) {
    const next = `the run goes on from step ${checkpoint?.step}`;
    onEvent?.({
      kind: 'warning',
      message: `The checkpoint ${path} is damaged: ${fault} It is left aside; ${next}.`,
    });
  }
  if (!checkpoint) await refuseToLose(directory, before);
  if (!checkpoint || changes.length === 0) return { checkpoint, changes };
  onEvent?.({
    kind: 'warning',
    message: `From step ${checkpoint.step} on the run has ${describeChanges(changes)}: no run from the start with these settings, or with those before, ends in the same model. changes.jsonl says so.`,
  });
  const state = { ...checkpoint.state };
  if (changesScores(changes)) delete state.validation;
  return { checkpoint: { ...checkpoint, state }, changes };
}

/**
 * A run that has none of its checkpoints any more is not begun anew over its metrics.
 * @throws HintError INVALID_CHECKPOINT
 */
async function refuseToLose(directory: RunDirectory, { saveEvery }: CheckpointSettings): Promise<void> {
  const reached = (await directory.readMetrics()).reduce((most, { step }) => Math.max(most, step), 0);
  // No step behind a save is taken before the save is done.
  if (reached <= saveEvery) return;
  throw new HintError(
    'INVALID_CHECKPOINT',
    `Cannot resume ${directory.path}: it has no checkpoint, though its metrics reach step ${reached} and every ${saveEvery} steps were saved; nothing was changed. Put a checkpoint back from a copy, or start again with another output directory.`,
  );
}

/** @throws HintError INVALID_DATA where a run would go on with other examples, or compare scores of other ones */
export function checkSameData(
  directory: RunDirectory,
  checkpoint: Checkpoint | undefined,
  { source, validation }: RunData,
): void {
  if (!checkpoint) return;
  if (checkpoint.state.fingerprint !== source.fingerprint)
    throw new HintError(
      'INVALID_DATA',
      `Cannot resume ${directory.path}: its training examples are not those of the run so far; give the same data directory and data settings.`,
    );
  const validated = checkpoint.state.validation;
  if (!validated || !validation || validated.fingerprint === validation.fingerprint) return;
  throw new HintError(
    'INVALID_DATA',
    `Cannot resume ${directory.path}: the examples it is validated on are not those of its best score so far (${validated.metric} ${validated.bestScore} after step ${validated.bestStep}); give the same validation settings and data.`,
  );
}
