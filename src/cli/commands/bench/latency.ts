import { join } from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import { LATENCY_DTYPES, LATENCY_SYSTEMS } from '../../../benchmark/latency.js';
import { MOST_SHOTS } from '../../../benchmark/lengths.js';
import { PUBLISHED_SIZES } from '../../../model/config/sizes.js';
import { action, wholeNumber } from '../../support/context.js';
import { oneOf, sizeName } from '../../support/choices.js';
import { reportLatency, type LatencyReportOptions } from '../../support/latency-files.js';

/** `hint bench latency`: the paper's Figure 4 on this machine. */
export function addLatencyCommand(bench: Command): void {
  bench
    .command('latency')
    .summary("time 100 examples by the number of shots: the paper's Figure 4 on this machine")
    .description(
      'Times compiled HINT and plain T5 at the median lengths of Super-NaturalInstructions, in turns with plain T5 under Hugging Face\n' +
        'transformers (with the Python that HINT_PEER_PYTHON names, else python3) and, with --onnx, under ONNX Runtime. Peers that are not\n' +
        'installed are left out and named. Keeps every sample; writes latency.json, .md, .svg and .png when all is measured.',
    )
    .option(
      '--shots <list>',
      'few-shot examples in the instruction: numbers, ranges',
      shotList,
      [0, 1, 2, 3, 4, 5],
    )
    .option(
      '--size <name>',
      `T5 v1.1's shape with random weights: ${PUBLISHED_SIZES.join(', ')} (default: base)`,
      sizeName,
    )
    .option('--model <dir>', 'a model directory instead; a plain T5 leaves HINT out')
    .option(
      '--adapter-size <n>',
      "with --size: the width of HINT's adapters",
      wholeNumber('--adapter-size', 1),
      512,
    )
    .option('--examples <n>', 'examples of one sample', wholeNumber('--examples', 1), 100)
    .option('--rounds <n>', 'samples of each measurement', wholeNumber('--rounds', 1), 5)
    .option('--dtypes <list>', 'what matrices are held in', oneOf('--dtypes', LATENCY_DTYPES), [
      ...LATENCY_DTYPES,
    ])
    .option('--systems <list>', 'hint, t5, hf', oneOf('--systems', LATENCY_SYSTEMS), ['hint', 't5', 'hf'])
    .option('--onnx <dir>', 'an exported T5 of the same shape: config.json and onnx/ as optimum writes them')
    .option('--device <name>', 'what computes: cpu, cuda or cuda:N', 'cpu')
    .option('--log', 'draw the charts with a logarithmic axis of seconds', false)
    .option(
      '--output <dir>',
      'where the files go; those of an earlier run are replaced',
      join('runs', 'bench-latency'),
    )
    .option('--json', 'print the result as JSON', false)
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ HINT_PEER_PYTHON=~/venv/bin/python hint bench latency --shots 0..5\n' +
        '  $ hint bench latency --size small --examples 8 --rounds 1 --systems hint,t5\n' +
        '  $ hint bench latency --model runs/hint/model --shots 0,2,5 --dtypes int8 --log\n' +
        '  $ hint bench compare before/latency.json after/latency.json',
    )
    .action(action((signal, options: LatencyReportOptions) => reportLatency('latency', options, signal)));
}

/** `0..5`, `0,2,5` or both mixed. */
export function shotList(text: string): number[] {
  const shots = text.split(',').flatMap((word) => {
    const match = /^\s*(\d+)(?:\.\.(\d+))?\s*$/.exec(word);
    const first = Number(match?.[1]);
    const last = match?.[2] === undefined ? first : Number(match[2]);
    if (!match || last > MOST_SHOTS || first > last) {
      throw new InvalidArgumentError(
        `"${word}" is no number of shots; give numbers and ranges up to ${MOST_SHOTS}, such as 0..5 or 0,2,5.`,
      );
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return [...new Set(shots)].sort((a, b) => a - b);
}
