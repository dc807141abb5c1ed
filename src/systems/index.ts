import { HintError } from '../util/errors.js';
import { showValue } from '../util/show-value.js';
import { adaptersOnly } from './adapters-only.js';
import { gpt2 } from './gpt2.js';
import { hint } from './hint.js';
import { hintDecoder } from './hint-decoder.js';
import { hintNoFusion } from './hint-no-fusion.js';
import { hintNoPeft } from './hint-no-peft.js';
import { hintUntied } from './hint-untied.js';
import { hypertune } from './hypertune.js';
import { hypter } from './hypter.js';
import { lora } from './lora.js';
import { noInstruct } from './no-instruct.js';
import { noPrompt } from './no-prompt.js';
import { opt } from './opt.js';
import { prefixesOnly } from './prefixes-only.js';
import type { System } from './system.js';
import { t0 } from './t0.js';
import { t0Peft } from './t0-peft.js';
import { tkInstruct } from './tk-instruct.js';
import { tkInstructPeft } from './tk-instruct-peft.js';

export { describeSystem, type SystemDescription } from './describe.js';
export type { HintOptions, HypernetworkPlan } from './hypernetwork-plan.js';
export type { P3Request, ParameterGroup, System } from './system.js';

/** Every system, in the order they are listed to users. A new one is a file here and a row in this list. */
export const SYSTEMS: readonly System[] = [
  hint,
  hintNoFusion,
  hintNoPeft,
  hintDecoder,
  hintUntied,
  adaptersOnly,
  prefixesOnly,
  lora,
  tkInstruct,
  tkInstructPeft,
  noInstruct,
  t0,
  t0Peft,
  noPrompt,
  hypter,
  hypertune,
  gpt2,
  opt,
];

/**
 * The built-in system that a configuration names.
 *
 * @throws HintError INVALID_ARGUMENT listing the systems there are
 */
export function findSystem(name: string): System {
  const system = SYSTEMS.find((candidate) => candidate.name === name);
  if (system) return system;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no system ${showValue(name)}; choose one of ${SYSTEMS.map((known) => known.name).join(', ')}.`,
  );
}
