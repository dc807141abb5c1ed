import { where, type Kind } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import { readModelFile } from '../config/model-file.js';
import { gpt2Models, optModels } from '../decoder-only/family.js';
import type { AnyModel, ModelFamily } from '../family.js';
import { t5Models } from './t5.js';

// Asked in this order.
const families: ModelFamily[] = [gpt2Models, optModels, t5Models];

/**
 * Adds a family, which is asked before those that are there.
 *
 * @throws HintError INVALID_ARGUMENT for a name that is taken
 */
export function registerModelFamily(family: ModelFamily): void {
  if (families.some(({ name }) => name === family.name)) {
    throw new HintError(
      'INVALID_ARGUMENT',
      `There is a family ${JSON.stringify(family.name)} already; give the new one a name of its own.`,
    );
  }
  families.unshift(family);
}

/** @throws HintError INVALID_ARGUMENT listing the names there are */
export function modelFamily(name: string): ModelFamily {
  const found = families.find((family) => family.name === name);
  if (found) return found;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no family ${JSON.stringify(name)}; choose one of ${families.map((family) => family.name).join(', ')}.`,
  );
}

/** The family that the object of a config.json is of. */
export function familyOfConfig(config: unknown): ModelFamily {
  return families.find((family) => family.recognises(config)) ?? t5Models;
}

/**
 * The family of a model directory, with the object of its config.json.
 *
 * @throws HintError NOT_FOUND, IO, INVALID_JSON
 */
export async function familyOfDirectory(
  directory: string,
): Promise<{ family: ModelFamily; config: unknown; path: string }> {
  const { config, path } = await readModelFile(directory);
  return { family: familyOfConfig(config), config, path };
}

export const anyModel: Kind<AnyModel> = where(
  'a model, such as await loadModel(device, directory) or engine.model; one of a family of your own after registerFamily',
  (value) => families.some((family) => family.owns(value)),
);
