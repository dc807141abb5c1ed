import { CommanderError, type Command } from 'commander';
import { createProgram } from '../../src/cli/program.js';

/** The commands of a page: those in its blocks of `sh`, and those in code within its lines, without what follows a `#`. */
export function commandsOn(page: string): string[] {
  const blocks = [...page.matchAll(/```sh\n([^]*?)```/g)].flatMap(([, block = '']) => block.split('\n'));
  const prose = page.replace(/```[^]*?```/g, '');
  const inline = [...prose.matchAll(/`(hint [^`]+)`/g)].map(([, command = '']) => command);
  return [...blocks, ...inline]
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line.startsWith('hint '));
}

/** The words of a command, of which some are in quotes. */
export function wordsOf(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
}

/**
 * What is wrong with a command: an option, a value or an argument that `hint` does not take. Nothing is run.
 *
 * @returns undefined for a command that would run
 */
export async function refusal(command: string): Promise<string | undefined> {
  const program = await createProgram();
  const silence = (one: Command): void => {
    one.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
    if (one.commands.length === 0 || one.registeredArguments.length > 0) one.action(() => undefined);
    one.commands.forEach(silence);
  };
  silence(program);
  try {
    await program.parseAsync(wordsOf(command).slice(1), { from: 'user' });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined;
    return error instanceof Error ? error.message : String(error);
  }
}
