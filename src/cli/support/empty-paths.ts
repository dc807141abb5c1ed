import type { Command } from 'commander';
import { HintError } from '../../util/errors.js';

const PATH = /^(?:dir|directory|file|folder|path|source)$/;

/**
 * Refuses empty words in the place of paths, which a shell gives of variables that are not set: an empty path would be taken for
 * the folder that the command runs in.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function refuseEmptyPaths(command: Command): void {
  for (const option of command.options) {
    const [, what = ''] = /[<[]([a-z]+)(?:\.\.\.)?[>\]]/.exec(option.flags) ?? [];
    check(option.long ?? option.flags, what, command.getOptionValue(option.attributeName()));
  }
  for (const [i, argument] of command.registeredArguments.entries())
    check(`The argument <${argument.name()}>`, argument.name(), command.processedArgs[i]);
}

function check(name: string, what: string, value: unknown): void {
  if (!PATH.test(what) || ![value].flat().includes('')) return;
  throw new HintError(
    'INVALID_ARGUMENT',
    `${name} is empty; give a path, or "." for the folder that you are in.`,
  );
}
