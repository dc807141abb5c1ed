import { Argument, Option } from 'commander';
import { MOST_THREADS } from '../../tensor/threads.js';
import { HintError } from '../../util/errors.js';
import { MODEL_NAME, modelFolder } from './model-name.js';

// Options that several commands take, declared once: the same words mean the same everywhere.

/** `<model>`: what inference opens. */
export function modelArgument(): Argument {
  return new Argument('<model>', MODEL_NAME).argParser(modelFolder);
}

/** `--dtype`: what the matrices of inference are held in. */
export function dtypeOption(): Option {
  return new Option('--dtype <name>', 'what matrices are held and multiplied in')
    .choices(['f32', 'bf16', 'int8'])
    .default('f32');
}

/** `--device`: where tensors live and ops run. */
export function deviceOption(): Option {
  return new Option('--device <name>', 'what computes: cpu, cuda or cuda:N').default('cpu');
}

/** `--threads`: of the CPU's pool. */
export function threadsOption(): Option {
  return new Option('--threads <n>', 'compute threads, 0 for every core')
    .argParser(wholeNumber('--threads', 0, MOST_THREADS))
    .default(0);
}

/** `--seed`. @param what it chooses @param absent its value where it is not given */
export function seedOption(what: string, absent?: number): Option {
  return new Option('--seed <n>', what).argParser(wholeNumber('--seed')).default(absent);
}

/** `--json`: the output is for machines, errors included. @param what is printed */
export function jsonOption(what: string): Option {
  return new Option('--json', `print ${what} as JSON`).default(false);
}

/** Gathers the values of a repeatable option; its default is an empty list. */
export function collect(value: string, all: readonly string[]): string[] {
  return [...all, value];
}

/** Parses a whole number option. @param maximum where there is one, it is told, too */
export function wholeNumber(
  name: string,
  minimum = 0,
  maximum = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < minimum || value > maximum) {
      const range =
        maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
      throw new HintError('INVALID_ARGUMENT', `${name} is "${text}"; give a whole number ${range}.`);
    }
    return value;
  };
}
