import type { AnyModel } from '../../model/family.js';
import { registerModelFamily } from '../../model/families/registry.js';
import { HintError } from '../../util/errors.js';
import type { Family } from '../contract/family.js';
import { gpt2Family, optFamily } from '../decoder-only/family.js';
import { t5Family } from '../encoder-decoder/family.js';
import { checkedFamily } from './checked-family.js';

const families: Family[] = [gpt2Family, optFamily, t5Family];

/**
 * Adds a family of models: from then on its directories are opened, and its models compile tasks, generate, score choices
 * and are evaluated, as those that are built in. What its members give is checked when they are used.
 *
 * @throws HintError INVALID_ARGUMENT for what is no family, or a name that is taken
 */
export function registerFamily(family: Family): void {
  const own = checkedFamily(family);
  registerModelFamily(own);
  families.unshift(own);
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
