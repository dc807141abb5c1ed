import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { findRuns, readRun, type RunRecord } from '../runs/read-run.js';

/** A finished run, with the model that is given away. */
export interface PublishableRun extends RunRecord {
  /** Its best model, else that of its last step. */
  readonly model: string;
  /** The step after which the model was saved. */
  readonly step: number;
}

/**
 * Reads a run that is to be published.
 *
 * @throws HintError INVALID_ARGUMENT for a run that has not finished, or has no tokenizer beside its model, and for a sweep;
 *   NOT_FOUND for what is no run, INVALID_JSON, INVALID_CONFIG, IO
 */
export async function publishableRun(path: string): Promise<PublishableRun> {
  await refuseOtherKinds(path);
  const run = await readRun(path);
  const last = run.steps.at(-1)?.step ?? 0;
  if (!run.isFinished)
    throw new HintError(
      'INVALID_ARGUMENT',
      `${path} has not finished: ${last} of ${run.config.steps} steps are logged. Go on with hint train --resume ${path}, then publish it.`,
    );
  const best = join(path, 'best');
  const isValidated = existsSync(join(best, 'config.json'));
  const bestStep = run.validations.findLast(({ validation }) => validation.isBest)?.step;
  const model = isValidated ? best : join(path, 'model');
  return { ...run, model, step: (isValidated ? bestStep : undefined) ?? last };
}

async function refuseOtherKinds(path: string): Promise<void> {
  if (existsSync(join(path, 'metrics.jsonl')) && existsSync(join(path, 'config.json'))) return;
  if (existsSync(join(path, 'model.safetensors')) || existsSync(join(path, 'pytorch_model.bin')))
    throw new HintError(
      'INVALID_ARGUMENT',
      `${path} is a model without the run that trained it; give the run, the folder that has its metrics.jsonl.`,
    );
  if (!existsSync(path)) return;
  const runs = await findRuns(path);
  if (runs.length === 0) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${path} is a folder of ${runs.length === 1 ? '1 training run' : `${runs.length} training runs`}; give one of them, such as ${runs[0]}.`,
  );
}
