import type { StepEstimate } from '../../../benchmark/estimate/estimate.js';
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

function milliseconds(seconds: number): string {
  return (seconds * 1e3).toFixed(1);
}

function tera(value: number): string {
  const text = (value / 1e12).toPrecision(4);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}
