import { findTokenizerFile } from '../formats/tokenizer/files.js';
import { Tokenizer } from '../formats/tokenizer/tokenizer.js';
import type { AnyModel } from '../model/family.js';
import type { WeightDType } from '../tensor/ops.js';
import { HintError } from '../util/errors.js';
import { familyOf } from './families/registry.js';

/** @throws HintError INVALID_ARGUMENT for a dtype that the model's family does not have */
export function setWeightDType(model: AnyModel, dtype: WeightDType): void {
  const family = familyOf(model);
  if (family.setWeightDType) family.setWeightDType(model, dtype);
  else if (dtype !== 'f32') {
    throw new HintError(
      'INVALID_ARGUMENT',
      `The dtype is ${dtype}, but models of the family ${family.name} compute in f32 only; leave it out.`,
    );
  }
}

/** The tokenizer at a path, or that of a model's directory, if there is one. @throws HintError NOT_FOUND, INVALID_FILE */
export async function loadTokenizer(
  directory: string,
  path: string | undefined,
): Promise<Tokenizer | undefined> {
  if (path !== undefined) return Tokenizer.load(path);
  const file = await findTokenizerFile(directory);
  return file === undefined ? undefined : Tokenizer.load(file);
}
