import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { packageRoot } from '../util/package-root.js';
import { addBenchCommand } from './commands/bench/command.js';
import { addCompileCommand } from './commands/compile.js';
import { addConvertCommand } from './commands/convert.js';
import { addDataCommand } from './commands/data/command.js';
import { addDemoCommand } from './commands/demo/command.js';

import { addDoctorCommand } from './commands/doctor.js';
import { addDownloadCommand } from './commands/download.js';
import { addEvalCommand } from './commands/eval/command.js';
import { addFlopsCommand } from './commands/flops/command.js';
import { addInspectCommand } from './commands/inspect.js';
import { addMemoryCommand } from './commands/memory/command.js';
import { addPretrainCommand } from './commands/pretrain.js';
import { addPromptsourceCommand } from './commands/promptsource.js';
import { addReproduceCommand } from './commands/reproduce/command.js';
import { addRunCommand } from './commands/run.js';
import { addScoreCommand } from './commands/score.js';
import { addSystemsCommand } from './commands/systems.js';
import { addTokenizeCommand } from './commands/tokenize.js';
import { addTrainCommand } from './commands/train.js';
import { addVerifyCommand } from './commands/verify/command.js';
import { EXIT } from './support/ending.js';
import { note, writeError, writeOutput } from './support/output.js';

/** In the order of `hint --help`. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  addDemoCommand,
  addDownloadCommand,
  addPretrainCommand,
  addTrainCommand,
  addReproduceCommand,
  addSystemsCommand,
  addEvalCommand,
  addCompileCommand,
  addRunCommand,
  addVerifyCommand,
  addScoreCommand,
  addDataCommand,
  addPromptsourceCommand,
  addTokenizeCommand,
  addConvertCommand,
  addInspectCommand,
  addFlopsCommand,
  addMemoryCommand,
  addBenchCommand,
  addDoctorCommand,
];

/** `hint` with all its commands. Parsing rejects with what {@link exitCodeOf} takes. */
export function createProgram(): Command {
  const { version, description } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
    description: string;
  };
  const program = new Command('hint')
    .description(description)
    .version(version)
    .showHelpAfterError('(add --help for the options)')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 the work failed or a check does not hold, 2 wrong use, 128 + N ended by signal N\n' +
        '(130 Ctrl-C, 143 SIGTERM, 129 SIGHUP): training saves a checkpoint then; a second signal ends at once.',
    )
    .configureOutput({ writeOut: writeOutput, writeErr: writeError });
  // Commands inherit it when they are added: wrong use exits with 2, not with commander's 1.
  program.exitOverride();
  for (const add of COMMANDS) add(program);
  return program;
}

/** Tells what ended parsing, unless commander has told it, and gives the exit code; 0 after --help and --version. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  note(`hint: ${error instanceof Error ? error.message : String(error)}`);
  return EXIT.usage;
}
