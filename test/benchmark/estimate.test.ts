import { afterAll, expect, it } from 'vitest';
import { estimateStep } from '../../src/benchmark/estimate/estimate.js';
import { gpuNetwork } from '../../src/benchmark/estimate/network.js';
import { estimateRanks, type RanksEstimate } from '../../src/benchmark/estimate/ranks-estimate.js';
import { ROOFS, roofSeconds, type Roofs } from '../../src/benchmark/estimate/roofs.js';
import { examplesOf, traceStep, type StepBatch } from '../../src/benchmark/estimate/step-trace.js';
import { EngineSteps, type StepSettings } from '../../src/benchmark/training-steps.js';
import { randomModel } from '../../src/benchmark/random-model.js';
import { modelOfSize } from '../../src/model/config/sizes.js';
import type { ModelConfig } from '../../src/model/config/config.js';
import { PAPER_HYPERNETWORK } from '../../src/systems/hint.js';
import { Device } from '../../src/tensor/device.js';
import { TracingDevice, type TracedCalls } from '../../src/tensor/tracing-device.js';

const H200 = ROOFS['h200'] as Roofs;
const SMALL: ModelConfig = {
  ...modelOfSize('small'),
  ...{
    dModel: 32,
    dKv: 8,
    dFf: 48,
    numHeads: 4,
    numLayers: 2,
    numDecoderLayers: 2,
    vocabSize: 97,
    eosTokenId: 1,
  },
  hint: { ...PAPER_HYPERNETWORK, adapterSize: 8, prefixLength: 3 },
};
const BATCH: StepBatch = { examples: 7, tasks: 3, instruction: 11, input: 5, output: 2 };
const EXACT: StepSettings = { tokenBudget: 40, computeDtype: 'f32', paramDtype: 'f32', backward: 'none' };

const devices: Device[] = [];
afterAll(() => {
  for (const device of devices) device.close();
});

async function onThisMachine(settings: StepSettings): Promise<{ flops: number; peakBytes: number }> {
  const device = new Device({ threads: 1 });
  devices.push(device);
  const steps = await EngineSteps.create(await randomModel(device, SMALL), settings);
  const examples = examplesOf(SMALL, BATCH);
  await steps.step(examples);
  const { flops } = device.statistics();
  await steps.step(examples);
  return { flops: device.statistics().flops - flops, peakBytes: steps.observed.peakBytes };
}

const sum = (calls: readonly TracedCalls[], of: 'flops' | 'launches'): number =>
  calls.reduce((total, call) => total + call[of], 0);

it.each(['none', 'both'] as const)(
  'a traced step has the work and the memory of one that is computed (run again: %s)',
  async (backward) => {
    const settings = { ...EXACT, backward };
    const traced = await traceStep(SMALL, BATCH, settings);
    const computed = await onThisMachine(settings);
    expect(sum(traced.calls, 'flops')).toBe(computed.flops);
    // When a tensor is given back depends on how far the device is behind.
    expect(traced.peakBytes / computed.peakBytes).toBeGreaterThan(0.97);
    expect(traced.peakBytes / computed.peakBytes).toBeLessThan(1.03);
  },
);

it('work that is done twice does not count as useful', async () => {
  const once = await estimateStep(SMALL, BATCH, EXACT, H200);
  const twice = await estimateStep(SMALL, BATCH, { ...EXACT, backward: 'both' }, H200);
  const flops = ({ ops }: typeof once): number => ops.reduce((total, op) => total + op.flops, 0);
  expect(twice.usefulFlops).toBe(once.usefulFlops);
  expect(flops(twice)).toBeGreaterThan(1.2 * flops(once));
  expect(twice.deviceSeconds).toBeGreaterThan(once.deviceSeconds);
});

it('an estimate adds up: shares to 1, seconds to those of the device, and no time is below its roofs', async () => {
  const { ops, deviceSeconds, seconds, hostSeconds, utilization, usefulFlops, launches, commands, hostMicrosecondsPerCommand } = await estimateStep(SMALL, BATCH, EXACT, H200); // prettier-ignore
  const total = (of: (op: (typeof ops)[number]) => number): number =>
    ops.reduce((all, op) => all + of(op), 0);
  expect(total(({ share }) => share)).toBeCloseTo(1, 9);
  expect(total((op) => op.seconds)).toBeCloseTo(deviceSeconds, 12);
  expect(seconds).toBe(Math.max(deviceSeconds, hostSeconds));
  expect(commands).toBe(ops.reduce((sum, { calls }) => sum + calls, 0));
  expect(hostMicrosecondsPerCommand).toBeGreaterThan(0);
  expect(utilization).toBeCloseTo(usefulFlops / seconds / H200.peak, 12);
  expect(total((op) => op.launches)).toBe(launches);
  for (const op of ops) {
    expect(op.seconds).toBeCloseTo(op.roofSeconds + op.launches * H200.launch, 12);
    expect(op.roofSeconds).toBeGreaterThanOrEqual(op.flops / H200.product - 1e-15);
  }
});

it('ranks share a step, and are less efficient the slower their network is', async () => {
  const batch = { ...BATCH, examples: 12, tasks: 4 };
  const whole = await estimateStep(SMALL, batch, EXACT, H200);
  const among = (rate: number): Promise<RanksEstimate> =>
    estimateRanks(
      SMALL,
      { batch, settings: EXACT, roofs: H200, ranks: 4, network: gpuNetwork(rate, 2) },
      whole,
    );
  const [fast, slow] = [await among(50e9), await among(1e3)];
  for (const { seconds, computeSeconds, exposedSeconds, efficiency, examplesPerSecond } of [fast, slow]) {
    expect(seconds).toBeCloseTo(computeSeconds + exposedSeconds, 12);
    expect(exposedSeconds).toBeGreaterThan(0);
    expect(efficiency).toBeCloseTo(whole.seconds / 4 / seconds, 12);
    expect(examplesPerSecond).toBeCloseTo(12 / seconds, 9);
  }
  expect(slow.efficiency).toBeLessThan(fast.efficiency / 2);
  expect(slow.exposedSeconds).toBeLessThanOrEqual(slow.reduceSeconds + slow.broadcastSeconds);
});

it('a call is under the roof of its products or of its memory, and passes and launches come on top', () => {
  const roofs: Roofs = { ...H200, product: 100, smallProduct: 50, memory: 10, launch: 1, hostCopy: 2 };
  const call: TracedCalls = {
    ...{ op: 'linear', backward: false, dtype: 'bf16', dimensions: { rows: 300 } },
    ...{ calls: 2, flops: 1000, bytes: 40, passBytes: 30, launches: 4 },
  };
  expect(roofSeconds(roofs, call)).toEqual({ products: 10, memory: 3, launches: 4 });
  expect(roofSeconds(roofs, { ...call, bytes: 400 })).toEqual({ products: 0, memory: 43, launches: 4 });
  const grouped = { ...call, op: 'grouped_linear', dimensions: { rows: 300, groups: 2 } };
  expect(roofSeconds(roofs, grouped).products).toBe(20);
  expect(roofSeconds(roofs, { ...grouped, dimensions: { rows: 600, groups: 2 } }).products).toBe(10);
  const copy = { ...call, op: 'host copy', flops: 0, passBytes: 0, launches: 0 };
  expect(roofSeconds(roofs, copy)).toEqual({ products: 0, memory: 20, launches: 0 });
});

it('a tracing device computes nothing, gives zeros and has room for what no machine holds', async () => {
  const device = new TracingDevice();
  devices.push(device);
  const vast = device.full([1 << 20, 1 << 20], 3);
  const few = device.full([2, 2], 3);
  expect([...(await few.read())]).toEqual([0, 0, 0, 0]);
  expect(device.statistics().bytesInUse).toBeGreaterThanOrEqual(2 ** 42);
  const [first] = await device.takeTrace();
  expect(first).toMatchObject({
    op: 'fill',
    backward: false,
    dimensions: { n: 2 ** 40 },
    calls: 1,
    launches: 1,
  });
  expect(await device.takeTrace()).toEqual([]);
  vast.dispose();
});
