import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { downloadedModel } from '../../formats/hub/cache.js';
import { HintError } from '../../util/errors.js';
import { note } from './output.js';

/** In help, wherever a model's folder is taken. */
export const MODEL_NAME = 'a model or run directory, or the name of a model that "hint download" brought';

/**
 * The folder that an argument means: its own, or that of a downloaded model of this name (owner/name, or
 * owner/name@revision). Of a training run it is its best model, else the one of its last step, else its latest checkpoint.
 *
 * @throws HintError NOT_FOUND for what reads like a name and was not downloaded
 */
export function modelFolder(text: string): string {
  if (existsSync(text)) return runModel(text) ?? text;
  const folder = downloadedModel(text);
  if (folder !== undefined) return folder;
  if (/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(text) && !existsSync(dirname(text)))
    throw new HintError(
      'NOT_FOUND',
      `There is no folder ${text}, and no model of that name was downloaded; if it is a model on the Hugging Face hub, bring it with: hint download ${text}`,
    );
  return text;
}

/** The model of a run, which is told; undefined for a folder that is no run. */
function runModel(run: string): string | undefined {
  const has = (...names: string[]): boolean => existsSync(join(run, ...names));
  if (!has('checkpoints') || !has('config.json')) return undefined;
  const steps = readdirSync(join(run, 'checkpoints')).flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? []);
  const latest = steps
    .sort((a, b) => Number(b) - Number(a))
    .map((step) => join('checkpoints', `step-${step}`));
  const found = ['best', 'model', ...latest].find((name) => has(name, 'config.json'));
  if (found === undefined) return undefined;
  note(`${run} is a training run; the model is ${join(run, found)}`);
  return join(run, found);
}
