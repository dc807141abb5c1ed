import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Group } from '../../src/distributed/group.js';
import { buildBatch } from '../../src/data/batch.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { BACKWARD_PLANS, type BackwardPlan } from '../../src/model/memory/backward-plan.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients } from '../../src/tensor/tape.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { GradientSums } from '../../src/training/step/gradient-sums.js';
import { accumulateGradients } from '../../src/training/step/microbatch.js';
import { tinyPool, tinyTrainer } from './tiny.js';

const device = new Device({ threads: 1 });
let ranks: Group;
beforeAll(async () => {
  ranks = await Group.join('alone');
});
afterAll(async () => {
  await ranks.close();
  device.close();
});

/** The gradients of a batch. */
async function backwardOf(
  model: EncoderDecoderModel,
  gradients: Gradients,
  parameters: readonly Tensor[],
  { backward = 'none', onFinal }: { backward?: BackwardPlan; onFinal: (parameter: number) => void },
): Promise<void> {
  const batch = buildBatch(tinyPool(8));
  await (
    await accumulateGradients(model, batch, gradients, { parameters, zLoss: 1e-4, backward, onFinal })
  ).sums;
}

/** A backward pass and what it says of parameters, in order: that it adds to one, or that it will not any more. */
async function said(
  backward: BackwardPlan,
): Promise<{ events: (readonly [string, number])[]; parameters: number[] }> {
  const { model, optimizer } = tinyTrainer(device);
  const events: (readonly [string, number])[] = [];
  const gradients = new Gradients(device);
  const { target } = Gradients.prototype;
  gradients.target = function (id, shape) {
    events.push(['adds', id]);
    return target.call(this, id, shape);
  };
  const parameters = optimizer.parameters();
  const onFinal = (parameter: number): void => void events.push(['is final', parameter]);
  await backwardOf(model, gradients, parameters, { backward, onFinal });
  gradients.dispose();
  model.dispose();
  return { events, parameters: parameters.map(({ id }) => id) };
}

describe('a backward pass', () => {
  it.each(BACKWARD_PLANS)(
    'names every gradient once, when nothing adds to it any more: plan %s',
    async (plan) => {
      const { events, parameters } = await said(plan);
      const finals = events.flatMap(([kind, id]) => (kind === 'is final' ? [id] : []));
      expect(finals.toSorted((a, b) => a - b)).toEqual(parameters.toSorted((a, b) => a - b));
      for (const id of parameters) {
        const last = events.findLastIndex(([kind, other]) => kind === 'adds' && other === id);
        const final = events.findIndex(([kind, other]) => kind === 'is final' && other === id);
        expect(last).toBeLessThan(final);
      }
    },
  );

  it('has gradients that are final long before its end', async () => {
    const { events } = await said('none');
    const first = events.findIndex(([kind]) => kind === 'is final');
    expect(first).toBeLessThan(events.length / 4);
  });
});

describe('sums over ranks', () => {
  it('start with the backward pass, from the second step on in its order, and miss no gradient', async () => {
    const { model, optimizer } = tinyTrainer(device);
    const parameters = optimizer.parameters();
    const gradients = new Gradients(device);
    const summands = parameters.map((parameter) => ({ parameter, owner: 0 }));
    const sums = new GradientSums(ranks, device, summands, { bucketBytes: 1024 });
    const reduce = vi.spyOn(ranks, 'reduce');
    const take = async (
      step: number,
      given: readonly Tensor[],
    ): Promise<{ early: number; all: Tensor[] }> => {
      reduce.mockClear();
      gradients.reset();
      await sums.begin(step);
      const onFinal = (parameter: number): void => sums.isFinal(gradients, parameter);
      await backwardOf(model, gradients, given, { onFinal });
      const early = reduce.mock.calls.length;
      await device.inSlices(sums.finish(gradients, 0));
      return { early: early / reduce.mock.calls.length, all: reduce.mock.calls.flatMap(([all]) => [...all]) };
    };
    const first = await take(1, parameters);
    const second = await take(2, parameters);
    expect(second.early).toBe(1);
    expect(new Set(second.all)).toEqual(new Set(first.all));
    expect(second.all).not.toEqual(first.all);
    // Some are not trained on this batch: they count as 0.
    const third = await take(3, parameters.slice(1));
    expect(third.early).toBeLessThan(1);
    expect(new Set(third.all)).toEqual(new Set(first.all));
    const zero = gradients.get(parameters[0]!)!;
    expect((await zero.read()).every((value) => value === 0)).toBe(true);
    reduce.mockRestore();
    gradients.dispose();
    model.dispose();
  });

  it('that travel as bf16 are rounded to it, and nothing stays of what has travelled', async () => {
    const { model, optimizer } = tinyTrainer(device);
    const parameters = optimizer.parameters();
    const gradients = new Gradients(device);
    const summands = parameters.map((parameter) => ({ parameter, owner: 0 }));
    const sums = new GradientSums(ranks, device, summands, { dtype: 'bf16' });
    await backwardOf(model, gradients, parameters, { onFinal: () => undefined });
    const exact = await Promise.all(parameters.map((parameter) => gradients.get(parameter)!.read()));
    const held = device.statistics().bytesInUse;
    await sums.begin(1);
    await device.inSlices(sums.finish(gradients, 0));
    await device.synchronize();
    expect(device.statistics().bytesInUse).toBe(held);
    for (const [i, parameter] of parameters.entries()) {
      const summed = await gradients.get(parameter)!.read();
      expect(new Uint16Array(summed.buffer).every((half, at) => at % 2 === 1 || half === 0)).toBe(true);
      const isNear = (value: number, at: number): boolean =>
        Math.abs(value - exact[i]![at]!) <= 2 ** -8 * Math.abs(exact[i]![at]!);
      expect(summed.every(isNear)).toBe(true);
    }
    gradients.dispose();
    model.dispose();
  });
});
