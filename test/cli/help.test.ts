import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { CommanderError, type Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram, exitCodeOf } from '../../src/cli/program.js';

const commandsFolder = resolve(import.meta.dirname, '../../src/cli/commands');

/** The program and the commands below it, by their paths, such as `bench latency`. */
function commandsOf(command: Command, path = ''): [path: string, command: Command][] {
  return [
    [path, command],
    ...command.commands.flatMap((one) => commandsOf(one, `${path} ${one.name()}`.trim())),
  ];
}

const commands = commandsOf(await createProgram());
const paths = commands.map(([path]) => path);

/** What parsing throws and prints, of `hint PATH ...parameters`. */
async function parse(path: string, ...parameters: string[]): Promise<{ error: unknown; printed: string }> {
  // A new program, since parsing leaves its values behind.
  const program = await createProgram();
  let printed = '';
  const write = (text: string): void => {
    printed += text;
  };
  for (const [, command] of commandsOf(program))
    command.configureOutput({ writeOut: write, writeErr: write });
  try {
    await program.parseAsync([...path.split(' ').filter(Boolean), ...parameters], { from: 'user' });
  } catch (error) {
    return { error, printed };
  }
  return { error: undefined, printed };
}

/** What `hint PATH --help` prints on a terminal of so many columns. */
async function helpAt(path: string, columns: number): Promise<string> {
  const program = await createProgram();
  let printed = '';
  for (const [, command] of commandsOf(program))
    command.configureOutput({ writeOut: (text) => (printed += text), getOutHelpWidth: () => columns });
  await program
    .parseAsync([...path.split(' ').filter(Boolean), '--help'], { from: 'user' })
    .catch(() => undefined);
  return printed;
}

describe('the help of every command', () => {
  it.each([60, 80, 200])('is no wider than a terminal of %i columns, but for examples', async (columns) => {
    for (const path of paths) {
      const lines = (await helpAt(path, columns)).split('\n');
      const wide = lines.filter((line) => line.length > columns && !line.startsWith('  $ '));
      expect(wide, path).toEqual([]);
      expect(lines.length, path).toBeGreaterThan(5);
    }
  });

  it('fills its lines, and tells no default where there is none', async () => {
    for (const path of paths) {
      const [, description = '', rest = ''] = (await helpAt(path, 80)).split('\n\n', 3);
      const lines = description.split('\n');
      for (const [i, line] of lines.slice(1).entries())
        expect(`${lines[i]} ${line.split(' ')[0]}`.length, `${path}: ${lines[i]}`).toBeGreaterThan(80);
      expect(rest).not.toMatch(/default: (false|\[\])/);
    }
  });

  const native = process.env['HINT_NATIVE'];
  // Whoever asks for help may have nothing built yet.
  beforeAll(() => {
    process.env['HINT_NATIVE'] = '/nowhere/hint.node';
  });
  afterAll(() => {
    if (native === undefined) delete process.env['HINT_NATIVE'];
    else process.env['HINT_NATIVE'] = native;
  });

  it('finds the commands that there are', () => {
    const files = readdirSync(commandsFolder, { withFileTypes: true }).map(({ name }) =>
      name.replace(/\.ts$/, ''),
    );
    expect(paths.filter((path) => path !== '' && !path.includes(' ')).sort()).toEqual(files.sort());
    expect(paths).toContain('bench latency');
  });

  it.each(commands)(
    '"hint %s" says what it does, what it takes, and how it is used',
    async (path, command) => {
      expect(command.description()).toMatch(/^[A-Z][\s\S]+[.:]/);
      if (path !== '') expect(command.summary()).toMatch(/^\S.{10,}$/);
      for (const option of [...command.options, ...command.registeredArguments])
        expect(option.description, `of ${option.name()}`).toMatch(/^\S.+\S$/);
      const { error, printed } = await parse(path, '--help');
      expect(exitCodeOf(error)).toBe(0);
      for (const { long } of command.options) expect(printed).toContain(long);
      for (const child of command.commands) expect(printed).toContain(`${child.name()} `);
      if (path !== '') expect(printed).toMatch(/Examples?:\n(?: {2}\$ .+\n)+/);
    },
  );

  it.each(commands)(
    '"hint %s" refuses an option that it does not have with a sentence',
    async (path, command) => {
      const needed = command.options.filter(({ mandatory }) => mandatory);
      const given = needed.flatMap(({ long }) => [long ?? '', 'x']);
      const { error, printed } = await parse(path, ...given, '--no-such-option');
      expect(error).toBeInstanceOf(CommanderError);
      expect(exitCodeOf(error)).toBe(2);
      expect(printed).toMatch(/unknown option '--no-such-option'/);
      expect(printed).toContain('--help');
    },
  );

  it('has the same words for an option wherever it means the same', () => {
    const texts = new Map<string, Set<string>>();
    for (const [, command] of commands)
      for (const { long, description } of command.options) {
        // There it says which way, and takes no value.
        if (command.name() === 'tokenize') continue;
        // There it names a device whose roofs are assumed; nothing runs on it.
        if (command.name() === 'estimate' && long === '--device') continue;
        const withoutSetting = description.replace(/ \([\w.]+\)$/, '');
        if (long) texts.set(long, (texts.get(long) ?? new Set()).add(withoutSetting));
      }
    for (const option of ['--device', '--threads', '--kind', '--datasets', '--decode', '--batch-size'])
      expect([option, [...(texts.get(option) ?? [])]]).toEqual([option, [expect.any(String)]]);
  });
});

describe('the files of the commands', () => {
  it('import none of another command: what two need is in support or below', () => {
    const own = (file: string): string =>
      (relative(commandsFolder, file).split('/')[0] ?? '').replace('.ts', '');
    const crossing = readdirSync(commandsFolder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(commandsFolder, name))
      .flatMap((file) =>
        [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)]
          .map((match) => resolve(dirname(file), (match[1] ?? '').replace(/\.js$/, '.ts')))
          .filter((to) => to.startsWith(`${commandsFolder}/`) && own(to) !== own(file))
          .map((to) => `${relative(commandsFolder, file)} imports ${relative(commandsFolder, to)}`),
      );
    expect(crossing).toEqual([]);
  });
});
