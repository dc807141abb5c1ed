import type { Command } from 'commander';
import { readSniTask } from '../../data/natural-instructions/tasks.js';
import { HintError } from '../../util/errors.js';
import type { CompileRequest } from '../../inference/compile/compile-request.js';
import { checkReplaceable, TASK } from '../../util/existing.js';
import { action, note, print, printJson } from '../support/context.js';
import { addEngineOptions, openEngine, type EngineFlags } from '../support/engine-options.js';
import { jsonOption, modelArgument, wholeNumber } from '../support/options.js';

interface CompileOptions extends EngineFlags {
  definition?: string;
  task?: string;
  positives: number;
  output: string;
  json: boolean;
}

/** `hint compile MODEL`: an instruction into a task file. */
export function addCompileCommand(program: Command): void {
  const command = program
    .command('compile')
    .summary('turn an instruction into a task file, once')
    .description(
      'Runs the hypernetwork over the instruction and stores what it made; `hint run --task` never reads the instruction again.',
    )
    .addArgument(modelArgument())
    .option('--definition <text>', 'the instruction')
    .option('--task <file>', 'take definition and positive examples from a task file in the SNI schema')
    .option('--positives <n>', 'positive examples to use of the task file', wholeNumber('--positives'), 0)
    .requiredOption(
      '--output <file>',
      'the task file to write (.safetensors); a task that is there is replaced',
    );
  addEngineOptions(command)
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExample:\n  $ hint compile runs/hint/model --definition "Name the colour in the list." --output colour.safetensors',
    )
    .action(
      action(async (signal, directory: string, options: CompileOptions) => {
        // Checked first, because loading takes seconds.
        await checkReplaceable(options.output, TASK, { inFolder: true });
        await using engine = await openEngine(directory, options, signal);
        const began = performance.now();
        const task = await engine.compile({ ...(await requestOf(options)), signal });
        const milliseconds = performance.now() - began;
        await task.save(options.output, { signal });
        const { instructionTokens, unknownTokens } = task;
        const result = { output: options.output, instructionTokens, unknownTokens, milliseconds };
        if (options.json) printJson(result);
        else {
          print(
            `Compiled ${result.instructionTokens} instruction tokens in ${milliseconds.toFixed(1)} ms into ${options.output}`,
          );
          if (unknownTokens > 0)
            note(
              `${unknownTokens} of them stand for pieces that the vocabulary lacks, which the model cannot tell apart.`,
            );
        }
      }),
    );
}

async function requestOf(options: CompileOptions): Promise<CompileRequest> {
  if ((options.definition === undefined) === (options.task === undefined)) {
    throw new HintError(
      'INVALID_ARGUMENT',
      'Give either --definition (the instruction) or --task (a task file in the SNI schema).',
    );
  }
  if (options.definition !== undefined) return { definition: options.definition };
  const task = await readSniTask(options.task ?? '', { use: 'prompt' });
  return { definition: task.definition, examples: task.positiveExamples.slice(0, options.positives) };
}
