import { join } from 'node:path';
import { HintError } from '../../util/errors.js';
import { readJson } from '../../util/read-file.js';
import { findT5x, openWeights } from '../../formats/checkpoint/open-weights.js';
import { configOfTensors } from './config-of-tensors.js';

/**
 * The object of a model directory's config.json. A checkpoint of T5X has none: its sizes are those of its tensors, and all
 * else is as T5X and the original HINT program have it.
 *
 * @returns the object, and what names it in errors
 * @throws HintError NOT_FOUND, IO, INVALID_JSON; for a checkpoint of T5X as `openWeights`, and NOT_SUPPORTED where its tensors
 *   do not say all
 */
export async function readConfigFile(directory: string): Promise<{ config: unknown; path: string }> {
  const path = join(directory, 'config.json');
  try {
    return { config: await readJson(path, 'the model configuration'), path };
  } catch (cause) {
    if (!(cause instanceof HintError && cause.code === 'NOT_FOUND')) throw cause;
    const folder = await findT5x(directory).catch(() => undefined);
    if (folder === undefined) throw cause;
    await using file = await openWeights(folder);
    return {
      config: configOfTensors(file),
      path: `${folder}, whose tensors stand for a config.json that is not there,`,
    };
  }
}
