import type { Command } from 'commander';
import { readLineBlocks } from '../../data/line-blocks.js';
import type { Engine } from '../../inference/engine.js';
import type { GeneratedText, Task } from '../../inference/task/task.js';
import { HintError } from '../../util/errors.js';
import { decodeText } from '../../util/read-file.js';
import { recordsOf } from '../../util/records.js';
import { action, note, print, printJson, writeOutput } from '../support/context.js';
import { addConstraintFlags, constraintOf, type ConstraintFlags } from '../support/constraint.js';
import { addDecodingFlags, decodingOf, type DecodingFlags } from '../support/decoding.js';
import { addEngineOptions, openEngine, tellNotices, type EngineFlags } from '../support/engine-options.js';
import { collect, jsonOption, modelArgument } from '../support/options.js';
import { writeStream } from '../support/stream-output.js';

interface RunTaskOptions extends EngineFlags, DecodingFlags, ConstraintFlags {
  task?: string;
  definition?: string;
  input: string[];
  inputs?: string;
  stop: string[];
  stream: boolean;
  logProbs: boolean;
  json: boolean;
}

/** `hint run MODEL`: inputs through a compiled task. */
export function addRunCommand(program: Command): void {
  const command = program
    .command('run')
    .summary('run inputs through a compiled task, or through the model itself')
    .description(
      'Takes a task file, or compiles a definition first; with neither, a plain T5 or decoder-only model reads the inputs as they are. Inputs come from --input, --inputs or standard input, one a line.\n' +
        'Control characters of an output are printed escaped (\\u001b), on a terminal and in a pipe alike; --json has the exact text.',
    )
    .addArgument(modelArgument())
    .option('--task <file>', 'a task file of hint compile')
    .option('--definition <text>', 'an instruction to compile now')
    .option('--input <text>', 'an input, repeatable', collect, [])
    .option('--inputs <file>', 'a file with one input a line');
  addConstraintFlags(addDecodingFlags(command))
    .option('--stop <text>', 'end an output before this text, repeatable', collect, [])
    .option('--log-probs', 'with --json: the log-probability of every token', false)
    .option('--stream', 'print text as it is generated; with --json one event a line', false);
  addEngineOptions(command)
    .addOption(jsonOption('the outputs'))
    .addHelpText(
      'after',
      '\nExample:\n  $ hint run t5-small --input "translate English to German: Good morning."' +
        '\n  $ hint run runs/hint/model --task colour.safetensors --input "Words: cat green salad."' +
        '\n  $ hint run runs/hint/model --task colour.safetensors --inputs lists.txt --decode t5x-beam1' +
        '\n  $ hint run runs/hint/model --task colour.safetensors --input "Words: cat green salad." --choices red --choices green' +
        '\n  $ hint run runs/hint/model --task story.safetensors --input "A cat" --temperature 0.8 --seed 7 --stream',
    )
    .action(
      action(async (signal, directory: string, options: RunTaskOptions) => {
        const inputs = options.input.length > 0 ? options.input : await readLines(options.inputs, signal);
        if (inputs.length === 0)
          throw new HintError(
            'INVALID_ARGUMENT',
            'There is no input; give --input, --inputs or lines on standard input.',
          );
        if (options.task !== undefined && options.definition !== undefined) {
          throw new HintError(
            'INVALID_ARGUMENT',
            'Give --task (a compiled task file), --definition (an instruction to compile now), or neither, for the model itself.',
          );
        }
        const constrain = await constraintOf(options, signal);
        await using engine = await openEngine(directory, options, signal);
        tellNotices(engine);
        const task = await openTask(engine, options, signal);
        const decoding = decodingOf(options);
        const request = { ...decoding, stop: options.stop, constrain, logProbs: options.logProbs, signal };
        const generated = options.stream
          ? await writeStream(task.stream(inputs, request), writeOutput, options.json)
          : await task.generate(inputs, request);
        if (!options.stream) printGenerations(inputs, generated, options.json);
        const cut = generated.filter(({ finished }) => !finished).length;
        if (cut > 0)
          note(
            `${cut} of ${generated.length} outputs were cut at ${decoding.maxTokens} tokens; raise --max-tokens for more.`,
          );
      }),
    );
}

function openTask(engine: Engine, { task, definition }: RunTaskOptions, signal: AbortSignal): Promise<Task> {
  if (task !== undefined) return engine.loadTask(task, { signal });
  return definition === undefined ? engine.plain({ signal }) : engine.compile({ definition, signal });
}

function printGenerations(
  inputs: readonly string[],
  generated: readonly GeneratedText[],
  asJson: boolean,
): void {
  if (!asJson) return generated.forEach(({ text }) => print(text));
  printJson(
    generated.map(({ text, finished, tokens, logProbs, score }, i) => ({
      input: inputs[i],
      output: text,
      finished,
      tokens: [...tokens],
      ...(logProbs ? { logProbs: [...logProbs] } : {}),
      ...(score === undefined ? {} : { score }),
    })),
  );
}

async function readLines(file: string | undefined, signal: AbortSignal): Promise<string[]> {
  if (file === undefined && process.stdin.isTTY) return [];
  const lines: string[] = [];
  const source = file === undefined ? { source: process.stdin, signal } : { signal };
  for await (const block of readLineBlocks(file ?? 'standard input', 'the inputs (--inputs)', source)) {
    for (const line of recordsOf(decodeText(block.bytes, file ?? 'standard input'))) lines.push(line);
  }
  return lines;
}
