import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { downloadedModel } from '../../formats/hub/cache.js';
import { HintError } from '../../util/errors.js';

/** In help, wherever a model's folder is taken. */
export const MODEL_NAME = 'a model directory, or the name of one that "hint download" brought';

/**
 * The folder that an argument means: its own, or that of a downloaded model of this name (owner/name, or
 * owner/name@revision).
 *
 * @throws HintError NOT_FOUND for what reads like a name and was not downloaded
 */
export function modelFolder(text: string): string {
  if (existsSync(text)) return text;
  const folder = downloadedModel(text);
  if (folder !== undefined) return folder;
  if (/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(text) && !existsSync(dirname(text)))
    throw new HintError(
      'NOT_FOUND',
      `There is no folder ${text}, and no model of that name was downloaded; if it is a model on the Hugging Face hub, bring it with: hint download ${text}`,
    );
  return text;
}
