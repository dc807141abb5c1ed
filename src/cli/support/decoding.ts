import { Option, type Command } from 'commander';
import { HintError } from '../../util/errors.js';
import {
  DECODE_STRATEGIES,
  defaultMaxTokens,
  type DecodeStrategy,
  type TokenDecodingOptions,
} from '../../inference/decode/decoding.js';
import { MOST_COUNT } from '../../inference/decode/task-batches.js';
import { seedOption, wholeNumber } from './options.js';

/** Options of commands that generate. */
export type DecodingFlags = Omit<TokenDecodingOptions, 'logProbs'>;

/** Adds --decode and what goes with it. */
export function addDecodingFlags(command: Command): Command {
  return command
    .addOption(maxTokensOption('most tokens generated (128; 256 for t5x-beam1)'))
    .option('--decode <strategy>', `${DECODE_STRATEGIES.join(', ')} (default: greedy)`, strategy)
    .option('--num-beams <n>', 'hypotheses that beam keeps (4)', wholeNumber('--num-beams', 1))
    .option(
      '--brevity-exponent <x>',
      "of beam and t5x-beam1: exponent of t5x's brevity penalty (0.6)",
      number,
    )
    .option('--temperature <x>', 'of sample: logits are divided by it (1)', number)
    .option('--top-k <n>', 'of sample: draw from the n most probable tokens', wholeNumber('--top-k', 1))
    .option('--top-p <x>', 'of sample: draw from the fewest tokens of this probability', number)
    .addOption(seedOption('chooses what is drawn at random (0)'));
}

/** `--batch-size` of commands that evaluate. */
export function batchSizeOption(): Option {
  return new Option('--batch-size <n>', 'inputs decoded together')
    .argParser(wholeNumber('--batch-size', 1, MOST_COUNT))
    .default(64);
}

/** `--max-tokens` of commands that generate. @param description says what it is where it is not given */
export function maxTokensOption(description: string): Option {
  return new Option('--max-tokens <n>', description).argParser(wholeNumber('--max-tokens', 1, MOST_COUNT));
}

/** What the flags ask for, as options of the library. */
export function decodingOf(flags: DecodingFlags): TokenDecodingOptions & { maxTokens: number } {
  const { decode, numBeams, brevityExponent, temperature, topK, topP, seed } = flags;
  const options = { decode, numBeams, brevityExponent, temperature, topK, topP, seed };
  return { ...options, maxTokens: flags.maxTokens ?? defaultMaxTokens(options) };
}

function strategy(text: string): DecodeStrategy {
  const found = DECODE_STRATEGIES.find((name) => name === text);
  if (found) return found;
  throw new HintError(
    'INVALID_ARGUMENT',
    `The decode "${text}" is unknown; use ${DECODE_STRATEGIES.join(', ')}.`,
  );
}

function number(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new HintError('INVALID_ARGUMENT', `"${text}" is not a number; give one such as 0.7.`);
}
