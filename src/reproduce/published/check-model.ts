import { readModelConfig, type ModelConfig } from '../../model/config/config.js';
import { sizedConfig } from '../../model/config/sizes.js';
import { familyOfDirectory } from '../../model/families/registry.js';
import { findSystem } from '../../systems/index.js';
import { HintError } from '../../util/errors.js';
import type { PublishedModel } from './models.js';

/**
 * Checks that a folder has what a published model is: a plain T5.
 *
 * @throws HintError NOT_SUPPORTED for a model of another family or with a hypernetwork; as readModelConfig
 */
export async function checkModel(
  { name, repository, system }: PublishedModel,
  directory: string,
): Promise<void> {
  const { family } = await familyOfDirectory(directory);
  const isOther = family.name !== findSystem(system).family;
  if (!isOther && !(await readModelConfig(directory)).hint) return;
  throw new HintError(
    'NOT_SUPPORTED',
    `${directory} has ${isOther ? family.title : 'a T5 with a hypernetwork'}, and ${name} (${repository}) is a plain T5; give the folder of that model with --model, or leave it out.`,
  );
}

/** In what a model has another shape than the released one; its vocabulary may have been cut to the tokenizer's. */
export function sizeDifferences({ size, name }: PublishedModel, config: ModelConfig): string[] {
  const released = sizedConfig(size);
  const fields = ['dModel', 'numLayers', 'numDecoderLayers', 'numHeads', 'dKv', 'dFf'] as const;
  const isSame = fields.every((field) => config[field] === released[field]);
  if (isSame) return [];
  return [
    `another model: width ${config.dModel} and ${config.numLayers} layers, where ${name} has ${released.dModel} and ${released.numLayers}`,
  ];
}
