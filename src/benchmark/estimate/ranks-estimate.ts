import type { ModelConfig } from '../../model/config/config.js';
import { parameterCount } from '../../model/parameters/parameter-shapes.js';
import { splitByTokens } from '../../data/sampling.js';
import { BUCKET_BYTES } from '../../training/step/gradient-sums.js';
import type { StepSettings } from '../training-steps.js';
import { estimateStep, type EstimatedOp, type StepEstimate } from './estimate.js';
import { ringSeconds, type Network } from './network.js';
import type { Roofs } from './roofs.js';
import { examplesOf, type StepBatch } from './step-trace.js';

/** What a step takes at each of several ranks, in seconds. */
export interface RanksEstimate {
  readonly ranks: number;
  readonly network: Network;
  /** Of the whole step. */
  readonly seconds: number;
  /** Forward, backward and the update of the parameters that a rank owns: the slower of device and host. */
  readonly computeSeconds: number;
  readonly deviceSeconds: number;
  readonly hostSeconds: number;
  /** Sums of gradients, in f32, */
  readonly reduceSeconds: number;
  /** and updated weights. */
  readonly broadcastSeconds: number;
  /** Of both, what neither the backward pass of the last microbatch nor the update covers. */
  readonly exposedSeconds: number;
  /** Of the examples a second that as many devices would have if none waited for another, 0–1. */
  readonly efficiency: number;
  readonly examplesPerSecond: number;
  /** Useful FLOPs of a device, divided by its peak in that time, 0–1. */
  readonly utilization: number;
}

/** Ops of the update, which each rank does for its share of the parameters. */
const UPDATES: readonly string[] = ['adafactor', 'adamw'];
const GRADIENT_BYTES = 4;

/** A step that ranks share. */
export interface SharedStepInput {
  readonly batch: StepBatch;
  readonly settings: StepSettings;
  readonly roofs: Roofs;
  readonly ranks: number;
  readonly network: Network;
}

/**
 * What ranks with a device each make of a step: each takes an equal share of its tasks, updates its share of the parameters, and
 * sums gradients and gives weights as the trainer does.
 *
 * @param whole the estimate of the step on one device
 * @throws HintError as estimateStep
 */
export async function estimateRanks(
  config: ModelConfig,
  { batch, settings, roofs, ranks, network }: SharedStepInput,
  whole: StepEstimate,
  signal?: AbortSignal,
): Promise<RanksEstimate> {
  const share = {
    ...batch,
    examples: Math.ceil(batch.examples / ranks),
    tasks: Math.ceil(batch.tasks / ranks),
  };
  const own = await estimateStep(config, share, settings, roofs, signal);
  const microbatches = splitByTokens(examplesOf(config, share), settings.tokenBudget).length;
  const secondsOf = (isCounted: (op: EstimatedOp) => boolean): number =>
    own.ops.filter(isCounted).reduce((sum, { seconds }) => sum + seconds, 0);
  const updateOfAll = secondsOf(({ op }) => UPDATES.includes(op));
  const update = updateOfAll / ranks;
  const deviceSeconds = own.deviceSeconds - updateOfAll + update;
  const { hostSeconds } = own;
  const computeSeconds = Math.max(deviceSeconds, hostSeconds);
  const backward = secondsOf(({ pass }) => pass === 'backward') / microbatches;
  const parameters = parameterCount(config);
  const gradients = travelling(parameters * GRADIENT_BYTES, ranks, network);
  const weights = travelling(parameters * (settings.paramDtype === 'bf16' ? 2 : 4), ranks, network);
  const exposedSeconds =
    Math.max(gradients.ofBucket, gradients.seconds - backward) +
    Math.max(weights.ofBucket, weights.seconds - update);
  const seconds = computeSeconds + exposedSeconds;
  return {
    ranks,
    network,
    seconds,
    computeSeconds,
    deviceSeconds,
    hostSeconds,
    reduceSeconds: gradients.seconds,
    broadcastSeconds: weights.seconds,
    exposedSeconds,
    efficiency: whole.seconds / ranks / seconds,
    examplesPerSecond: batch.examples / seconds,
    utilization: (whole.utilization * whole.seconds) / ranks / seconds,
  };
}

/** Seconds of all bytes in buckets, and of one bucket: the last that is there is covered by nothing. */
function travelling(bytes: number, ranks: number, network: Network): { seconds: number; ofBucket: number } {
  const buckets = Math.ceil(bytes / BUCKET_BYTES);
  const seconds = ringSeconds(network, bytes, ranks, buckets);
  return { seconds, ofBucket: seconds / buckets };
}
