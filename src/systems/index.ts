import { HintError } from '../errors.js';
import { hint } from './hint.js';
import { noInstruct } from './no-instruct.js';
import type { System } from './system.js';
import { tkInstruct } from './tk-instruct.js';

export type { HintOptions, P3Request, ParameterGroup, System } from './system.js';

/** Every system, in the order they are listed to users. A new one is a file here and a row in this list. */
export const SYSTEMS: readonly System[] = [hint, tkInstruct, noInstruct];

/** @throws HintError INVALID_ARGUMENT listing the systems there are */
export function findSystem(name: string): System {
  const system = SYSTEMS.find((candidate) => candidate.name === name);
  if (system) return system;
  throw new HintError(
    'INVALID_ARGUMENT',
    `There is no system ${JSON.stringify(name)}; choose one of ${SYSTEMS.map((known) => known.name).join(', ')}.`,
  );
}
