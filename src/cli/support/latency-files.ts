import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { measureLatency } from '../../benchmark/latency.js';
import type { LatencyOptions, LatencyPart } from '../../benchmark/latency-run.js';
import { breakEvenChart } from '../../benchmark/break-even-report.js';
import { latencyChart, latencyMarkdown } from '../../benchmark/latency-report.js';
import { latencyTargets } from '../../benchmark/latency-targets.js';
import { describeMachine } from '../../benchmark/machine.js';
import { profileLatency } from '../../benchmark/profile/profile-latency.js';
import { profileMarkdown } from '../../benchmark/profile/profile-table.js';
import { throwIfAborted } from '../../util/errors.js';
import { writeFileAtomic } from '../../util/atomic-file.js';
import { BENCH_RESULTS, checkReplaceable, picture, report } from '../../util/existing.js';
import { svgToPng } from '../../util/plot/png.js';
import { makeFolder } from '../../util/write-error.js';
import { note, print, printJson } from './context.js';
import { Progress } from './progress.js';

const TITLE = 'Time per 100 examples';

/** A measurement of latency, and how it is told. */
export interface LatencyReportOptions extends Omit<LatencyOptions, 'signal' | 'note' | 'onProgress'> {
  /** Draw seconds on a logarithmic axis. */
  readonly log: boolean;
  /** The folder of the files. */
  readonly output: string;
  readonly json: boolean;
  /** Print nothing: the files are all that is wanted. */
  readonly quiet?: boolean;
}

/**
 * Measures latency by shots and writes NAME.json (every sample), NAME.md, NAME.svg and NAME.png, all of them once
 * everything is measured; where HINT has a break-even, NAME-break-even.svg and NAME-break-even.png, too.
 *
 * @throws HintError as measureLatency, IO
 */
export async function reportLatency(
  name: string,
  options: LatencyReportOptions,
  signal: AbortSignal,
): Promise<void> {
  const { output, onnx, json, log } = options;
  const machine = describeMachine();
  // Make the folder before measuring, so that a failure does not lose a whole run.
  await makeFolder(output);
  await checkLatencyFiles(name, output);
  const chart = breakEvenName(name);
  const systems = onnx === undefined ? options.systems : [...new Set([...options.systems, 'onnx' as const])];
  const progress = new Progress('latency');
  let part: LatencyPart;
  try {
    part = await measureLatency({
      ...options,
      systems,
      signal,
      note,
      onProgress: (done, total, measured) => progress.update(done, total, measured),
    });
  } finally {
    progress.stop();
  }
  const result = { machine, date: part.started, parts: { latency: part } };
  const svg = latencyChart(part, log);
  const png = await svgToPng(svg);
  const crossing = breakEvenChart(part);
  const { cpu, cores, isa, memoryGiB, node } = machine;
  const where = `Machine: ${cpu}, ${cores} cores (${isa.join(', ')}), ${memoryGiB} GiB; Node.js ${node}.`;
  const markdown = `# ${TITLE}\n\n${where}\n\n${latencyMarkdown(part)}\n\n![Seconds per 100 examples by shots](${name}.png)\n${crossing === undefined ? '' : `\n![From where HINT costs less](${chart}.png)\n`}`;
  const files: Record<string, string | Uint8Array> = {
    [`${name}.json`]: `${JSON.stringify(result)}\n`,
    [`${name}.md`]: markdown,
    [`${name}.svg`]: svg,
    [`${name}.png`]: png,
    ...(crossing !== undefined && { [`${chart}.svg`]: crossing, [`${chart}.png`]: await svgToPng(crossing) }),
  };
  throwIfAborted(signal);
  for (const [file, content] of Object.entries(files)) await writeFileAtomic(join(output, file), content);
  // A picture of an earlier run would be taken for one of this.
  if (crossing === undefined)
    for (const ending of ['svg', 'png']) await rm(join(output, `${chart}.${ending}`), { force: true });
  if (!options.quiet) {
    if (json) printJson({ ...result, targets: latencyTargets(part) });
    else print(markdown);
  }
  note(
    `Written: ${join(output, `${name}.{json,md,svg,png}`)}${crossing === undefined ? '' : `, ${join(output, `${chart}.{svg,png}`)}`}`,
  );
}

/** @throws HintError INVALID_ARGUMENT for a file that is in the way of those of {@link reportLatency}, IO */
export async function checkLatencyFiles(name: string, output: string): Promise<void> {
  await checkReplaceable(join(output, `${name}.json`), BENCH_RESULTS);
  await checkReplaceable(join(output, `${name}.md`), report(TITLE));
  for (const ending of ['svg', 'png'])
    for (const file of [name, breakEvenName(name)])
      await checkReplaceable(join(output, `${file}.${ending}`), picture(`.${ending}`));
}

function breakEvenName(name: string): string {
  return `${name}-break-even`;
}

/**
 * Tells where the time goes, as text or JSON.
 *
 * @throws HintError as profileLatency
 */
export async function reportLatencyProfile(
  options: LatencyReportOptions,
  signal: AbortSignal,
): Promise<void> {
  const machine = describeMachine();
  const progress = new Progress('profile');
  let part;
  try {
    part = await profileLatency({
      ...options,
      signal,
      note,
      onProgress: (done, total, measured) => progress.update(done, total, measured),
    });
  } finally {
    progress.stop();
  }
  if (options.json) printJson({ machine, date: part.started, parts: { profile: part } });
  else
    print(`${machine.cpu}, ${machine.cores} cores (${machine.isa.join(', ')})\n\n${profileMarkdown(part)}`);
}
