import { Help, type AddHelpTextContext, type Command, type Option } from 'commander';

// Descriptions that get less room are as hard to read as ones that the terminal breaks.
const NARROWEST = 20;

/**
 * How commander lays help out: also where names leave descriptions little room, they are broken between words; in a list of
 * commands, what each takes would leave them less. Descriptions are as wide as the terminal, not as the source, and what an
 * option is by default is said where it is something.
 */
export const HELP_LAYOUT = {
  minWidthToWrap: NARROWEST,
  subcommandTerm: (command: Command): string => command.name(),
  commandDescription: (command: Command): string => command.description().replaceAll('\n', ' '),
  optionDescription: (option: Option): string => {
    const isNothing =
      option.defaultValue === false ||
      (Array.isArray(option.defaultValue) && option.defaultValue.length === 0);
    const told = isNothing
      ? (Object.create(option, { defaultValue: { value: undefined } }) as Option)
      : option;
    return new Help().optionDescription(told);
  },
};

/** Prose behind a command's help, as wide as the terminal. Examples, which begin with `  $ `, stay whole. */
export function helpText(text: string): (context: AddHelpTextContext) => string {
  return ({ command }) => {
    const help = command.createHelp();
    const width = command.configureOutput().getOutHelpWidth?.() ?? 80;
    return text
      .split('\n')
      .map((line) => (line.startsWith('  $ ') ? line : help.boxWrap(line, width)))
      .join('\n');
  };
}
