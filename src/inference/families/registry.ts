import type { AnyModel } from '../../model/family.js';
import { registerModelFamily } from '../../model/families/registry.js';
import { callback, checked, name, shaped, text } from '../../util/arguments.js';
import { HintError } from '../../util/errors.js';
import type { Family } from '../contract/family.js';
import { gpt2Family, optFamily } from '../decoder-only/family.js';
import { t5Family } from '../encoder-decoder/family.js';

const FAMILY = shaped<
  Omit<
    Family,
    | 'setWeightDType'
    | 'prepare'
    | 'regenerate'
    | 'valuesPerTask'
    | 'mostInstructionTokens'
    | 'storage'
    | 'joint'
    | 'embedder'
  >
>(
  {
    name,
    title: text,
    recognises: callback(),
    owns: callback(),
    checkConfig: callback(),
    open: callback(),
    start: callback(),
    prompts: callback(),
    readsInstruction: callback(),
    systemOf: callback(),
    compile: callback(),
    openNetwork: callback(),
    choiceLosses: callback(),
    multiplyAdds: callback(),
  },
  'a family: an object with name, title, recognises, owns, open, compile, openNetwork and the others that Family lists',
);

const families: Family[] = [gpt2Family, optFamily, t5Family];

/**
 * Adds a family of models: from then on its directories are opened, and its models compile tasks, generate, score choices
 * and are evaluated, as those that are built in.
 *
 * @throws HintError INVALID_ARGUMENT for what is no family, or a name that is taken
 */
export function registerFamily(family: Family): void {
  checked(FAMILY, family, 'family');
  registerModelFamily(family);
  families.unshift(family);
}

/** @throws HintError INVALID_ARGUMENT for a model of no family there is */
export function familyOf(model: AnyModel): Family {
  const found = families.find((family) => family.owns(model));
  if (found) return found;
  throw new HintError(
    'INVALID_ARGUMENT',
    'The model is of no family there is; register its family with registerFamily.',
  );
}
