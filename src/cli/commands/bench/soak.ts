import type { Command } from 'commander';
import { action, EXIT, note, print, printJson } from '../../support/context.js';
import { median } from '../../../util/statistics.js';
import { isFlat, soak, type SoakReport } from './soak-run.js';
import { jsonOption, threadsOption, wholeNumber } from '../../support/options.js';

interface SoakCommandOptions {
  requests: number;
  clients: number;
  tasks: number;
  threads: number;
  json: boolean;
}

/** `hint bench soak`: whether serving leaks, and how long requests and the event loop wait. */
export function addSoakCommand(bench: Command): void {
  bench
    .command('soak')
    .summary('serve thousands of mixed requests; memory must stay flat')
    .description(
      'Serves random requests of many tasks by a random model of the demo’s shape, some of them cancelled, with a task cache for half\n' +
        'of the tasks. Prints latency and event-loop lag, and the throughput of the same requests by engine.submit and by task.stream; exits with 1\n' +
        'when memory grows from round to round.',
    )
    .option('--requests <count>', 'requests', wholeNumber('--requests', 10), 5000)
    .option('--clients <count>', 'requests under way at once', wholeNumber('--clients', 1), 32)
    .option('--tasks <count>', 'different instructions', wholeNumber('--tasks', 1), 24)
    .addOption(threadsOption())
    .addOption(jsonOption('the result'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ hint bench soak\n  $ hint bench soak --requests 20000 --clients 64 --json',
    )
    .action(
      action(async (signal, { json, ...options }: SoakCommandOptions) => {
        const each = Math.ceil(options.requests / 10);
        const report = await soak({
          ...options,
          rounds: 5,
          signal,
          onProgress: (done, total) => done % each === 0 && note(`${done} of ${total} requests`),
        });
        if (json) printJson({ ...report, flat: isFlat(report) });
        else print(describe(report));
        return isFlat(report) ? EXIT.ok : EXIT.failed;
      }),
    );
}

function describe(report: SoakReport): string {
  const { requests, cancelled, seconds, latency, lag, memory, tasks, ways } = report;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const mb = (value: number): string => `${(value / 1024 ** 2).toFixed(1)} MB`;
  return [
    `${requests} requests (${cancelled} cancelled) in ${seconds.toFixed(1)} s`,
    `latency         p50 ${ms(latency.p50)}, p99 ${ms(latency.p99)}, most ${ms(latency.max)}`,
    `event-loop lag  p50 ${ms(lag.p50)}, p99 ${ms(lag.p99)}, most ${ms(lag.max)}`,
    `task cache      ${tasks.hits} hits, ${tasks.regenerated} regenerated, ${tasks.misses} compiled`,
    `throughput      ${ways.submit.toFixed(1)} requests/s by submit, ${ways.stream.toFixed(1)} by stream: ${share(ways.ratios)}`,
    ...memory.map(
      ({ deviceBytes, rss }, round) =>
        `after round ${round + 1}   device ${mb(deviceBytes)}, process ${mb(rss)}`,
    ),
    isFlat(report) ? 'Memory is flat.' : 'Memory grows: something is kept.',
  ].join('\n');
}

function share(ratios: readonly number[]): string {
  const percent = (ratio: number): string => (100 * ratio).toFixed(0);
  return `${percent(median(ratios))} % (${percent(Math.min(...ratios))} to ${percent(Math.max(...ratios))} in ${ratios.length} rounds)`;
}
