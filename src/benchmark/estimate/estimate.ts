import { usefulFlops } from '../../accounting/training-flops.js';
import { buildBatch } from '../../data/batch.js';
import type { ModelConfig } from '../../model/config/config.js';
import type { StepSettings } from '../training-steps.js';
import { roofSeconds, type Roofs, type RoofSeconds } from './roofs.js';
import { examplesOf, traceStep, type StepBatch } from './step-trace.js';

/** Estimated time of one op in a step, forward or backward. */
export interface EstimatedOp {
  /** Of the op table, or `host copy`. */
  readonly op: string;
  readonly pass: 'forward' | 'backward';
  readonly calls: number;
  readonly flops: number;
  /** Read and written. */
  readonly bytes: number;
  readonly launches: number;
  /** Seconds at the roofs of products and memory, without launches. */
  readonly roofSeconds: number;
  /** With the launches. */
  readonly seconds: number;
  /** Of all ops' seconds, 0–1. */
  readonly share: number;
  /** The largest part of its time. */
  readonly bound: 'products' | 'memory' | 'launches';
}

interface Summed extends Pick<EstimatedOp, 'op' | 'pass' | 'calls' | 'flops' | 'bytes' | 'launches'> {
  readonly seconds: RoofSeconds;
}
const NO_SECONDS: RoofSeconds = { products: 0, memory: 0, launches: 0 };

/** The estimate of a training step. */
export interface StepEstimate {
  /** The slower of device and host, which work at the same time. */
  readonly seconds: number;
  readonly deviceSeconds: number;
  /** Seconds that this machine takes to queue the step. */
  readonly hostSeconds: number;
  /** CPU time that the thread of JavaScript takes for a command of the step, microseconds. */
  readonly hostMicrosecondsPerCommand: number;
  /** Commands of the step: calls of ops, forward and backward, and copies from the host. */
  readonly commands: number;
  /** FLOPs of the forward and backward pass, without work that is computed again. */
  readonly usefulFlops: number;
  /** Useful FLOPs divided by the device's peak in that time, 0–1. */
  readonly utilization: number;
  readonly launches: number;
  readonly bytes: number;
  /** Most tensor memory at a time, bytes. */
  readonly peakBytes: number;
  /** The slowest first. */
  readonly ops: readonly EstimatedOp[];
}

/**
 * Estimates a training step (forward, backward, the update of every parameter) on a device: every call takes the time
 * of its products or of its memory traffic, whichever is longer, and every kernel takes a launch.
 */
export async function estimateStep(
  config: ModelConfig,
  batch: StepBatch,
  settings: StepSettings,
  roofs: Roofs,
  signal?: AbortSignal,
): Promise<StepEstimate> {
  const traced = await traceStep(config, batch, settings, signal);
  const { calls: rows, hostSeconds, hostCpuSeconds, peakBytes } = traced;
  const ops = new Map<string, Summed>();
  for (const row of rows) {
    const pass = row.backward ? 'backward' : 'forward';
    const key = `${row.op} ${pass}`;
    const op = ops.get(key) ?? {
      op: row.op,
      pass,
      calls: 0,
      flops: 0,
      bytes: 0,
      launches: 0,
      seconds: NO_SECONDS,
    };
    const added = roofSeconds(roofs, row);
    ops.set(key, {
      ...op,
      calls: op.calls + row.calls,
      flops: op.flops + row.flops,
      bytes: op.bytes + row.bytes + row.passBytes,
      launches: op.launches + row.launches,
      seconds: {
        products: op.seconds.products + added.products,
        memory: op.seconds.memory + added.memory,
        launches: op.seconds.launches + added.launches,
      },
    });
  }
  const all = [...ops.values()].map(({ seconds, ...op }) => ({
    ...op,
    roofSeconds: seconds.products + seconds.memory,
    seconds: seconds.products + seconds.memory + seconds.launches,
    bound: largest(seconds),
  }));
  const sum = (value: (op: Omit<EstimatedOp, 'share'>) => number): number =>
    all.reduce((total, op) => total + value(op), 0);
  const deviceSeconds = sum((op) => op.seconds);
  const seconds = Math.max(deviceSeconds, hostSeconds);
  const commands = sum((op) => op.calls);
  const useful = usefulFlops(config, buildBatch(examplesOf(config, batch)));
  return {
    seconds,
    deviceSeconds,
    hostSeconds,
    hostMicrosecondsPerCommand: (hostCpuSeconds * 1e6) / commands,
    commands,
    usefulFlops: useful,
    utilization: useful / seconds / roofs.peak,
    launches: sum((op) => op.launches),
    bytes: sum((op) => op.bytes),
    peakBytes,
    ops: all
      .map((op) => ({ ...op, share: op.seconds / deviceSeconds }))
      .sort((a, b) => b.seconds - a.seconds),
  };
}

function largest({ products, memory, launches }: RoofSeconds): EstimatedOp['bound'] {
  if (products >= memory && products >= launches) return 'products';
  return memory >= launches ? 'memory' : 'launches';
}
