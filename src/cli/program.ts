import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { packageRoot } from '../util/package-root.js';
import { refuseEmptyPaths } from './support/empty-paths.js';
import { EXIT } from './support/ending.js';
import { HELP_LAYOUT, helpText } from './support/help.js';
import { note, writeError, writeOutput } from './support/output.js';

type LoadCommand = () => Promise<(program: Command) => void>;

/**
 * Commands by name, in the order of `hint --help`. Each is read in when it is asked for: all of them together take
 * most of the time of a start.
 */
const COMMANDS: Readonly<Record<string, LoadCommand>> = {
  demo: async () => (await import('./commands/demo/command.js')).addDemoCommand,
  download: async () => (await import('./commands/download.js')).addDownloadCommand,
  pretrain: async () => (await import('./commands/pretrain.js')).addPretrainCommand,
  train: async () => (await import('./commands/train.js')).addTrainCommand,
  sweep: async () => (await import('./commands/sweep.js')).addSweepCommand,
  launch: async () => (await import('./commands/launch.js')).addLaunchCommand,
  plot: async () => (await import('./commands/plot.js')).addPlotCommand,
  runs: async () => (await import('./commands/runs/command.js')).addRunsCommand,
  publish: async () => (await import('./commands/publish.js')).addPublishCommand,
  reproduce: async () => (await import('./commands/reproduce/command.js')).addReproduceCommand,
  systems: async () => (await import('./commands/systems.js')).addSystemsCommand,
  eval: async () => (await import('./commands/eval/command.js')).addEvalCommand,
  compile: async () => (await import('./commands/compile.js')).addCompileCommand,
  run: async () => (await import('./commands/run.js')).addRunCommand,
  serve: async () => (await import('./commands/serve.js')).addServeCommand,
  verify: async () => (await import('./commands/verify/command.js')).addVerifyCommand,
  score: async () => (await import('./commands/score.js')).addScoreCommand,
  data: async () => (await import('./commands/data/command.js')).addDataCommand,
  prepare: async () => (await import('./commands/prepare.js')).addPrepareCommand,
  promptsource: async () => (await import('./commands/promptsource.js')).addPromptsourceCommand,
  tokenize: async () => (await import('./commands/tokenize.js')).addTokenizeCommand,
  convert: async () => (await import('./commands/convert.js')).addConvertCommand,
  inspect: async () => (await import('./commands/inspect/command.js')).addInspectCommand,
  flops: async () => (await import('./commands/flops/command.js')).addFlopsCommand,
  memory: async () => (await import('./commands/memory/command.js')).addMemoryCommand,
  estimate: async () => (await import('./commands/estimate/command.js')).addEstimateCommand,
  bench: async () => (await import('./commands/bench/command.js')).addBenchCommand,
  doctor: async () => (await import('./commands/doctor.js')).addDoctorCommand,
  build: async () => (await import('./commands/build.js')).addBuildCommand,
};

/**
 * `hint`. Parsing rejects with what {@link exitCodeOf} takes.
 *
 * @param first the first argument: where it names a command, the program has no other
 */
export async function createProgram(first?: string): Promise<Command> {
  const { version, description } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
    description: string;
  };
  const program = new Command('hint')
    .description(description)
    .version(version)
    // What follows a command's name is read by that command, or by one below it that has options of the same names.
    .enablePositionalOptions()
    .showHelpAfterError('(add --help for the options)')
    .configureHelp(HELP_LAYOUT)
    .addHelpText(
      'after',
      helpText(
        '\nExit codes: 0 done, 1 the work failed or a check does not hold, 2 wrong use, 128 + N ended by signal N ' +
          '(130 Ctrl-C, 143 SIGTERM, 129 SIGHUP): training saves a checkpoint then; a second signal ends at once.',
      ),
    )
    .configureOutput({ writeOut: writeOutput, writeErr: writeError });
  // Commands inherit it when they are added: wrong use exits with 2, not with commander's 1.
  program.exitOverride();
  program.hook('preAction', (_program, command) => refuseEmptyPaths(command));
  for (const load of needed(first)) (await load())(program);
  return program;
}

function needed(first: string | undefined): readonly LoadCommand[] {
  if (first === '--version' || first === '-V') return [];
  const asked = first !== undefined && Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  return asked ? [asked] : Object.values(COMMANDS);
}

/** Tells what ended parsing, unless commander has told it, and gives the exit code; 0 after --help and --version. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  note(`hint: ${error instanceof Error ? error.message : String(error)}`);
  return EXIT.usage;
}
