import type { StepEstimate } from '../../../benchmark/estimate/estimate.js';
import type { RanksEstimate } from '../../../benchmark/estimate/ranks-estimate.js';
import type { Roofs } from '../../../benchmark/estimate/roofs.js';
import type { StepBatch } from '../../../benchmark/estimate/step-trace.js';
import type { StepSettings } from '../../../benchmark/training-steps.js';
import { formatBytes } from '../../../util/bytes.js';
import { table } from '../../support/context.js';
import type { EarlierReport } from './read-report.js';

/** Updates of the paper's fine-tuning on Super-NaturalInstructions, and the examples of each (method §7). */
const PAPER_UPDATES = 1000;
export const PAPER_BATCH = 1024;

/** What was estimated, as `--json` prints it. */
export interface EstimateReport extends StepEstimate {
  readonly model: string;
  readonly system: string;
  readonly device: Roofs;
  readonly batch: StepBatch;
  readonly settings: StepSettings;
  /** The same step, taken on this machine. */
  readonly measuredSeconds?: number | undefined;
  /** The same step by several devices. */
  readonly shared?: RanksEstimate | undefined;
}

/** @param before another report, whose seconds stand beside */
export function describeEstimate(report: EstimateReport, before?: EarlierReport): string {
  const { model, system, device: roofs, batch, settings } = report;
  const { tokenBudget, computeDtype, paramDtype, backward } = settings;
  const secondsBefore = new Map(before?.ops.map((op) => [`${op.op} ${op.pass}`, op.seconds]));
  const rows = report.ops.map((op) => {
    const then = secondsBefore.get(`${op.op} ${op.pass}`);
    return [
      `${op.op}${op.pass === 'backward' ? ', backward' : ''}`,
      ...[String(op.calls), (op.flops / 1e12).toFixed(1), (op.bytes / 1e9).toFixed(1), String(op.launches)],
      ...[milliseconds(op.roofSeconds), milliseconds(op.seconds)],
      ...(before ? [then === undefined ? '' : milliseconds(then)] : []),
      ...[`${(100 * op.share).toFixed(1)} %`, op.bound],
    ];
  });
  const head = ['op', 'calls', 'TFLOP', 'GB', 'launches', 'roof ms', 'ms', ...(before ? ['ms before'] : []), 'share', 'bound by']; // prettier-ignore
  return [
    `One training step of ${model}, system ${system}, on ${roofs.name}: ${batch.examples} examples of ${batch.tasks} tasks (${batch.instruction} tokens of instruction, ${batch.input} of input, ${batch.output} of output), microbatches of at most ${tokenBudget} tokens, weights in ${paramDtype}, computed in ${computeDtype}, run again: ${backward}.`,
    `${roofs.isAssumed ? 'Assumed' : 'Measured'}: products ${tera(roofs.product)} TFLOP/s, those of small groups ${tera(roofs.smallProduct)}, attention ${tera(roofs.attention)}, memory ${tera(roofs.memory)} TB/s, ${(roofs.launch * 1e6).toFixed(1)} µs a launch.${roofs.isAssumed ? " Nothing of this was measured on a GPU; the host's time is this machine's." : ''}`,
    '',
    table(head, rows),
    '',
    summary(report),
    ...(report.shared ? ['', describeShared(report.shared)] : []),
    ...(before ? ['', `Before: ${summary(before)}`] : []),
  ].join('\n');
}

function summary({ batch, device, ...estimate }: Omit<EarlierReport, 'ops'>): string {
  const {
    seconds,
    deviceSeconds,
    hostSeconds,
    utilization,
    usefulFlops,
    launches,
    peakBytes,
    measuredSeconds,
    commands,
    hostMicrosecondsPerCommand,
  } = estimate;
  const perCommand =
    commands && hostMicrosecondsPerCommand
      ? ` (${hostMicrosecondsPerCommand.toFixed(1)} µs of CPU for each of ${commands} commands)`
      : '';
  const hours = (PAPER_UPDATES * PAPER_BATCH * seconds) / batch.examples / 3600;
  return [
    `Device ${deviceSeconds.toFixed(2)} s, host ${hostSeconds.toFixed(2)} s${perCommand}, at the same time: ${seconds.toFixed(2)} s a step, ${(batch.examples / seconds).toFixed(0)} examples/s; ${launches} launches, ${formatBytes(peakBytes)} of tensors.`,
    `Useful work ${tera(usefulFlops)} TFLOP: ${(100 * utilization).toFixed(1)} % of ${tera(device.peak)} TFLOP/s. The paper's ${PAPER_UPDATES} updates of ${PAPER_BATCH} examples: ${hours.toFixed(1)} hours.`,
    ...(measuredSeconds === undefined
      ? []
      : [
          `Measured: ${measuredSeconds.toFixed(2)} s a step; the estimate is ${(seconds / measuredSeconds).toFixed(2)} times that.`,
        ]),
  ].join('\n');
}

function describeShared(shared: RanksEstimate): string {
  const { ranks, network, seconds, efficiency, examplesPerSecond, utilization, ...times } = shared;
  const { perHost, networkBandwidth, linkBandwidth, networkLatency, linkLatency } = network;
  const of = (value: number): string => `${(value * 1e3).toFixed(1)} ms`;
  return [
    `Estimate for ${ranks} ranks: ${of(seconds)} a step, ${examplesPerSecond.toFixed(0)} examples/s, ${(100 * efficiency).toFixed(1)} % of what ${ranks} devices do that wait for nobody; useful work is ${(100 * utilization).toFixed(1)} % of each one's peak.`,
    `Compute ${of(times.computeSeconds)} (device ${of(times.deviceSeconds)}, host ${of(times.hostSeconds)}, at the same time); sums of gradients ${of(times.reduceSeconds)}, weights ${of(times.broadcastSeconds)}; of both, ${of(times.exposedSeconds)} exposed.`,
    `Assumed, not measured: hosts of ${perHost} devices; ${gigabytes(linkBandwidth)} within a host and ${gigabytes(networkBandwidth)} from each device to other hosts, ${(linkLatency * 1e6).toFixed(0)} and ${(networkLatency * 1e6).toFixed(0)} µs from one device to the next, in rings; buckets of 25 MiB; gradients in f32; every rank has an equal share of tasks and tokens; sums are covered by the backward pass of a rank's last microbatch, weights by the update.`,
  ].join('\n');
}

function gigabytes(rate: number): string {
  return `${(rate / 1e9).toFixed(1)} GB/s`;
}

function milliseconds(seconds: number): string {
  return (seconds * 1e3).toFixed(1);
}

function tera(value: number): string {
  const text = (value / 1e12).toPrecision(4);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}
