import { Option, type Command } from 'commander';
import { LATENCY_DTYPES } from '../../../benchmark/latency-run.js';
import { describeMachine } from '../../../benchmark/machine.js';
import type { HfDType } from '../../../benchmark/peer-kinds.js';
import { serveChart, serveMarkdown } from '../../../benchmark/serve/serve-report.js';
import { SERVE_SYSTEMS, type ServePart, type ServeSystem } from '../../../benchmark/serve/serve-run.js';
import { measureServing } from '../../../benchmark/serve/serve.js';
import type { WeightDType } from '../../../tensor/ops.js';
import { writeFileAtomic } from '../../../util/atomic-file.js';
import { checkReplaceable, picture } from '../../../util/existing.js';
import { oneOf } from '../../support/choices.js';
import { action, note } from '../../support/context.js';
import { jsonOption, threadsOption, wholeNumber } from '../../support/options.js';
import { Progress } from '../../support/progress.js';
import { adapterSizeOption, resultsOption, sizeOption } from './options.js';
import { prepareResults, reportPart } from './results.js';

interface ServeBenchOptions {
  size: string;
  adapterSize: number;
  systems: ServeSystem[];
  dtype: WeightDType;
  peerDtypes: HfDType[];
  tasks: number;
  longTasks: number;
  longInstruction: number;
  peerBatch: number;
  seconds: number;
  rounds: number;
  threads: number;
  quick: boolean;
  chart?: string;
  output?: string;
  json: boolean;
}

/** A rehearsal, whose times count for nothing. */
const QUICK = {
  ...{ size: 'tiny', adapterSize: 8, tasks: 4, longTasks: 2, longInstruction: 128 },
  ...{ seconds: 1, rounds: 1, peerBatch: 2 },
};
const PEER_DTYPES: readonly HfDType[] = ['f32', 'bf16'];

/** `hint bench serve`: servers under load. */
export function addServeBenchCommand(bench: Command): void {
  bench
    .command('serve')
    .summary(
      'load hint serve beside Hugging Face behind FastAPI, and a decoder-only model with a prefix cache',
    )
    .description(
      'Measures servers with random weights under load: the most requests a second with clients that wait for their answers, and\n' +
        'latencies at shares of that with requests that come at random. Beside compiled HINT, plain T5 under Hugging Face transformers\n' +
        'behind FastAPI and uvicorn reads the instruction with every request (in the Python that HINT_PEER_PYTHON names, else python3;\n' +
        'left out where it is not installed), at its fastest batch, memory and attention, which are found first. With long instructions, a\n' +
        'decoder-only model of equal FLOPs per input token, with its own prefix cache, is compared. Also tells what compiling an\n' +
        'instruction does to the streams of others. A whole run takes about 40 times --seconds, and some minutes.',
    )
    .addOption(sizeOption('base'))
    .addOption(adapterSizeOption())
    .addOption(
      new Option('--systems <list>', SERVE_SYSTEMS.join(', '))
        .argParser(oneOf('--systems', SERVE_SYSTEMS))
        .default([...SERVE_SYSTEMS], 'all of them'),
    )
    .addOption(
      new Option('--dtype <name>', 'of HINT beside the peer; long instructions are compared in f32')
        .choices([...LATENCY_DTYPES])
        .default('int8'),
    )
    .option('--peer-dtypes <list>', 'of Hugging Face', oneOf('--peer-dtypes', PEER_DTYPES), [...PEER_DTYPES])
    .option(
      '--peer-batch <n>',
      'the largest batch that it is tried with',
      wholeNumber('--peer-batch', 1, 1024),
      16,
    )
    .option('--tasks <n>', 'different instructions', wholeNumber('--tasks', 1), 32)
    .option('--long-tasks <n>', 'different long instructions', wholeNumber('--long-tasks', 1), 8)
    .option(
      '--long-instruction <n>',
      'tokens of a long one',
      wholeNumber('--long-instruction', 16, 8000),
      2000,
    )
    .option('--seconds <n>', 'of each load', wholeNumber('--seconds', 1, 3600), 10)
    .option('--rounds <n>', 'loads of each kind, in turns', wholeNumber('--rounds', 1), 2)
    .addOption(threadsOption())
    .option('--quick', 'rehearse in a minute with a tiny shape, few tasks and loads of a second', false)
    .option('--chart <file>', 'latency over load as SVG; an older one is replaced')
    .addOption(resultsOption())
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ HINT_PEER_PYTHON=~/venv/bin/python hint bench serve --output serve.json --chart serve.svg\n' +
        '  $ hint bench serve --systems hint --seconds 5 --rounds 1\n' +
        '  $ hint bench serve --quick',
    )
    .action(action((signal, options: ServeBenchOptions) => serve(options, signal)));
}

async function serve(
  { quick, chart, output, json, peerDtypes, ...given }: ServeBenchOptions,
  signal: AbortSignal,
): Promise<void> {
  const machine = describeMachine();
  await prepareResults(output);
  if (chart !== undefined) await checkReplaceable(chart, picture('.svg'));
  const progress = new Progress('serve');
  let part: ServePart;
  try {
    part = await measureServing({
      ...given,
      ...(quick ? QUICK : {}),
      ...{ peerDTypes: quick ? peerDtypes.slice(0, 1) : peerDtypes, signal, note },
      onProgress: (done, total, name) => progress.update(done, total, name),
    });
  } finally {
    progress.stop();
  }
  if (chart !== undefined) {
    await writeFileAtomic(chart, serveChart(part));
    note(`Written: ${chart}`);
  }
  await reportPart('serve', machine, part, { output, json }, () => serveMarkdown(part));
}
