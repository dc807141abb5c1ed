import type { Command } from 'commander';
import { readLineBlocks } from '../../data/line-blocks.js';
import { readSniTask } from '../../data/natural-instructions/tasks.js';
import { HintError } from '../../util/errors.js';
import type { CompileRequest } from '../../inference/compile/compile-request.js';
import { Engine } from '../../inference/engine.js';
import type { Generation } from '../../inference/task/task.js';
import type { WeightDType } from '../../tensor/ops.js';
import { decodeText } from '../../util/read-file.js';
import { action, dtypeOption, note, print, printJson, wholeNumber, writeOutput } from '../support/context.js';
import { addDecodingFlags, decodingOf, type DecodingFlags } from '../support/decoding.js';
import { writeStream } from '../support/stream-output.js';
import { checkReplaceable, TASK } from '../../util/existing.js';

interface CompileOptions {
  definition?: string;
  task?: string;
  positives: number;
  output: string;
  tokenizer?: string;
  dtype: WeightDType;
  device: string;
  threads: number;
  json: boolean;
}

interface RunOptions extends Omit<CompileOptions, 'output' | 'task'>, DecodingFlags {
  task?: string;
  input: string[];
  inputs?: string;
  stop: string[];
  stream: boolean;
  logProbs: boolean;
}

/** `hint compile MODEL`: an instruction into a task file. */
export function addCompileCommand(program: Command): void {
  program
    .command('compile')
    .summary('turn an instruction into a task file, once')
    .description(
      'Runs the hypernetwork over the instruction and stores what it made; `hint run --task` never reads the instruction again.',
    )
    .argument('<model>', 'a model directory with its tokenizer.json')
    .option('--definition <text>', 'the instruction')
    .option('--task <file>', 'take definition and positive examples from a task file in the SNI schema')
    .option('--positives <n>', 'positive examples to use of the task file', wholeNumber('--positives'), 0)
    .requiredOption(
      '--output <file>',
      'the task file to write (.safetensors); a task that is there is replaced',
    )
    .option('--tokenizer <path>', 'a tokenizer.json elsewhere')
    .addOption(dtypeOption())
    .option('--device <name>', 'cpu, cuda or cuda:N', 'cpu')
    .option('--threads <n>', 'compute threads, 0 for every core', wholeNumber('--threads'), 0)
    .option('--json', 'print the result as JSON', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ hint compile runs/hint/model --definition "Name the colour in the list." --output colour.safetensors',
    )
    .action(
      action(async (signal, directory: string, options: CompileOptions) => {
        // Before seconds of loading.
        await checkReplaceable(options.output, TASK, { inFolder: true });
        await using engine = await open(directory, options, signal);
        const began = performance.now();
        const task = await engine.compile({ ...(await requestOf(options)), signal });
        const milliseconds = performance.now() - began;
        await task.save(options.output, { signal });
        const result = { output: options.output, instructionTokens: task.instructionTokens, milliseconds };
        if (options.json) printJson(result);
        else
          print(
            `Compiled ${result.instructionTokens} instruction tokens in ${milliseconds.toFixed(1)} ms into ${options.output}`,
          );
      }),
    );
}

/** `hint run MODEL`: inputs through a compiled task. */
export function addRunCommand(program: Command): void {
  const collect = (value: string, all: string[]): string[] => [...all, value];
  const command = program
    .command('run')
    .summary('run inputs through a compiled task')
    .description(
      'Takes a task file, or compiles a definition first. Inputs come from --input, --inputs or standard input, one a line.\n' +
        'Control characters of an output are printed escaped (\\u001b), on a terminal and in a pipe alike; --json has the exact text.',
    )
    .argument('<model>', 'a model directory with its tokenizer.json')
    .option('--task <file>', 'a task file of hint compile')
    .option('--definition <text>', 'an instruction to compile now')
    .option('--input <text>', 'an input, repeatable', collect, [])
    .option('--inputs <file>', 'a file with one input a line');
  addDecodingFlags(command)
    .option('--stop <text>', 'end an output before this text, repeatable', collect, [])
    .option('--log-probs', 'with --json: the log-probability of every token', false)
    .option('--stream', 'print text as it is generated; with --json one event a line', false)
    .option('--tokenizer <path>', 'a tokenizer.json elsewhere')
    .addOption(dtypeOption())
    .option('--device <name>', 'cpu, cuda or cuda:N', 'cpu')
    .option('--threads <n>', 'compute threads, 0 for every core', wholeNumber('--threads'), 0)
    .option('--json', 'print the outputs as JSON', false)
    .addHelpText(
      'after',
      '\nExample:\n  $ hint run runs/hint/model --task colour.safetensors --input "Words: cat green salad."' +
        '\n  $ hint run runs/hint/model --task colour.safetensors --inputs lists.txt --decode t5x-beam1' +
        '\n  $ hint run runs/hint/model --task story.safetensors --input "A cat" --temperature 0.8 --seed 7 --stream',
    )
    .action(
      action(async (signal, directory: string, options: RunOptions) => {
        const inputs = options.input.length > 0 ? options.input : await readLines(options.inputs, signal);
        if (inputs.length === 0)
          throw new HintError(
            'INVALID_ARGUMENT',
            'There is no input; give --input, --inputs or lines on standard input.',
          );
        if ((options.task === undefined) === (options.definition === undefined)) {
          throw new HintError(
            'INVALID_ARGUMENT',
            'Give either --task (a compiled task file) or --definition (an instruction to compile now).',
          );
        }
        await using engine = await open(directory, options, signal);
        const task =
          options.task === undefined
            ? await engine.compile({ definition: options.definition ?? '', signal })
            : await engine.loadTask(options.task, { signal });
        const decoding = decodingOf(options);
        const request = { ...decoding, stop: options.stop, logProbs: options.logProbs, signal };
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

function printGenerations(
  inputs: readonly string[],
  generated: readonly Generation[],
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

function open(
  directory: string,
  options: { device: string; dtype: WeightDType; threads: number; tokenizer?: string },
  signal: AbortSignal,
): Promise<Engine> {
  return Engine.open(directory, {
    device: options.device,
    dtype: options.dtype,
    threads: options.threads,
    signal,
    ...(options.tokenizer === undefined ? {} : { tokenizer: options.tokenizer }),
  });
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

async function readLines(file: string | undefined, signal: AbortSignal): Promise<string[]> {
  if (file === undefined && process.stdin.isTTY) return [];
  const lines: string[] = [];
  const source = file === undefined ? { source: process.stdin, signal } : { signal };
  for await (const block of readLineBlocks(file ?? 'standard input', 'the inputs (--inputs)', source)) {
    const all = decodeText(block.bytes, file ?? 'standard input').split(/\r?\n/);
    // A block ends with a line's end, the last one possibly without.
    if (all.at(-1) === '') all.pop();
    for (const line of all) lines.push(line);
  }
  return lines;
}
