import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { LATENCY_SYSTEMS } from '../../../benchmark/latency-run.js';
import { PUBLISHED_SIZES } from '../../../model/config/sizes.js';
import { action } from '../../support/context.js';
import {
  reportLatency,
  reportLatencyProfile,
  type LatencyReportOptions,
} from '../../support/latency-files.js';
import { oneOf, shotList, sizeName } from '../../support/choices.js';
import { adapterSizeOption, dtypesOption, examplesOption, roundsOption } from './options.js';
import { deviceOption, jsonOption } from '../../support/options.js';

/** `hint bench latency`: the paper's Figure 4 on this machine. */
export function addLatencyCommand(bench: Command): void {
  bench
    .command('latency')
    .summary("time 100 examples by the number of shots: the paper's Figure 4 on this machine")
    .description(
      'Times compiled HINT and plain T5 at the median lengths of Super-NaturalInstructions, in turns with a decoder-only model of equal\n' +
        'FLOPs that keeps the keys and values of its instruction, and with plain T5 under Hugging Face transformers and under\n' +
        'CTranslate2 (with the Python that HINT_PEER_PYTHON names, else python3) and, with --onnx, under ONNX Runtime. What those in\n' +
        'Python are fastest with (batch, memory, attention, threads) is found first, for each length and dtype. Peers that are not\n' +
        'installed are left out and named. Keeps every sample; writes latency.json, .md, .svg and .png when all is measured. With\n' +
        '--profile, says where the time of this engine goes instead, by phase and op.',
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
    .addOption(adapterSizeOption())
    .addOption(examplesOption())
    .addOption(roundsOption())
    .addOption(dtypesOption())
    .addOption(
      new Option('--systems <list>', 'hint, t5, decoder, hf, ctranslate2')
        .argParser(oneOf('--systems', LATENCY_SYSTEMS))
        .default(
          LATENCY_SYSTEMS.filter((system) => system !== 'onnx'),
          'all of them',
        ),
    )
    .option('--onnx <dir>', 'an exported T5 of the same shape: config.json and onnx/ as optimum writes them')
    .addOption(deviceOption())
    .option(
      '--profile',
      'where the time of HINT and plain T5 goes, by phase and op; no files, no peers',
      false,
    )
    .option('--log', 'draw the charts with a logarithmic axis of seconds', false)
    .option(
      '--output <dir>',
      'where the files go; those of an earlier run are replaced',
      join('runs', 'bench-latency'),
    )
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ HINT_PEER_PYTHON=~/venv/bin/python hint bench latency --shots 0..5\n' +
        '  $ hint bench latency --size small --examples 8 --rounds 1 --systems hint,t5\n' +
        '  $ hint bench latency --profile --shots 0 --dtypes int8 --rounds 3\n' +
        '  $ hint bench latency --model runs/hint/model --shots 0,2,5 --dtypes int8 --log\n' +
        '  $ hint bench compare before/latency.json after/latency.json',
    )
    .action(
      action((signal, { profile, ...options }: LatencyReportOptions & { profile: boolean }) =>
        profile ? reportLatencyProfile(options, signal) : reportLatency('latency', options, signal),
      ),
    );
}
