import type { Command } from 'commander';
import { readTextLines, type TextLine } from '../../data/line-blocks.js';
import { Tokenizer } from '../../formats/tokenizer/tokenizer.js';
import { HintError } from '../../util/errors.js';
import { showValue } from '../../util/show-value.js';
import { action, writeOutput } from '../support/context.js';

interface TokenizeOptions {
  readonly special: boolean;
  readonly decode: boolean;
}

/** `hint tokenize MODEL`: texts to token ids and back, line by line. */
export function addTokenizeCommand(program: Command): void {
  program
    .command('tokenize')
    .summary('turn texts into token ids, or ids into texts')
    .description(
      'Reads standard input, one JSON string a line, and writes its token ids, one JSON array a line; with --decode the other way around.\n' +
        'Special tokens are those that the tokenizer itself puts around a text, as in the tokenizers package.',
    )
    .argument(
      '<tokenizer>',
      'a model directory, a tokenizer.json, a spiece.model, or a vocab.json with its merges.txt beside it',
    )
    .option('--no-special', 'no special tokens around a text; with --decode, leave them out of the texts')
    .option('--decode', 'token ids in, texts out', false)
    .addHelpText(
      'after',
      `\nExamples:\n  $ echo '"Words: cat green salad."' | hint tokenize t5-base\n  $ hint tokenize t5-base < texts.jsonl | hint tokenize t5-base --decode --no-special`,
    )
    .action(
      action(async (signal, path: string, { special, decode }: TokenizeOptions) => {
        const tokenizer = await Tokenizer.load(path);
        const answer = (line: TextLine): unknown =>
          decode
            ? tokenizer.decode(idsOf(line), { skipSpecialTokens: !special })
            : [...tokenizer.encode(textOf(line), special ? { addSpecialTokens: true } : { addEos: false })];
        // A line is answered when it is there, so that another program can ask line by line.
        const lines = readTextLines('standard input', 'the texts', {
          source: process.stdin,
          blockBytes: 1,
          signal,
        });
        for await (const line of lines) writeOutput(`${JSON.stringify(answer(line))}\n`);
      }),
    );
}

function textOf(line: TextLine): string {
  const text = parse(line);
  if (typeof text === 'string') return text;
  throw wrong(line, 'it must be a JSON string, such as "two words"');
}

function idsOf(line: TextLine): number[] {
  const ids = parse(line);
  if (Array.isArray(ids) && ids.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31))
    return ids as number[];
  throw wrong(line, 'it must be a JSON array of token ids, such as [37, 1]');
}

function parse(line: TextLine): unknown {
  try {
    return JSON.parse(line.text);
  } catch {
    return undefined;
  }
}

function wrong({ text, where }: TextLine, what: string): HintError {
  return new HintError('INVALID_DATA', `${where} is ${showValue(text)}; ${what}.`);
}
