import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { buildBatch } from '../../src/data/batch.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { DropoutPlan } from '../../src/model/trainable/dropout.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { PATIENT_WORK, type Sliced } from '../../src/tensor/slices.js';
import { Gradients, Tape } from '../../src/tensor/tape.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { accumulateGradients } from '../../src/training/step/microbatch.js';
import { sha256Hex } from '../../src/util/hash.js';
import { tinyPool, tinyTrainer, valuesOf } from '../training/tiny.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

// Every look at the clock finds a slice used up, so that work is interrupted wherever it may be.
beforeEach(async () => {
  // What is left of a turn by the real clock, or by the last test's, is no time of this one.
  await turn();
  await turn();
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 10));
});
afterEach(() => vi.restoreAllMocks());

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Calls `body` in every turn of the event loop until `work` is done; how often that was. */
async function meanwhile(work: Promise<unknown>, body: () => void): Promise<number> {
  let done = false;
  let turns = 0;
  const ended = work.finally(() => (done = true));
  for (; !done; turns++) {
    body();
    await turn();
  }
  await ended;
  return turns;
}

describe('work in slices', () => {
  it('records what it enqueues, and only that, while others run theirs', async () => {
    const x = device.tensor(Float32Array.of(1, 2), [2]);
    const total = device.full([1], 0);
    const other = device.full([1], 0);
    function* step(): Sliced<Tensor> {
      for (let i = 0; i < 3; i++) {
        ops.addSquareNorm(x, total);
        yield;
      }
      return ops.scale(x, 2);
    }
    const work = device.recordInSlices(device.tidied(step()));
    const turns = await meanwhile(work, () => ops.addSquareNorm(x, other));
    const { program, result } = await work;
    expect(await total.item()).toBe(0);
    expect(await other.item()).toBe(5 * turns);
    program.replay(2);
    expect(await total.item()).toBe(30);
    expect([...(await result.read())]).toEqual([2, 4]);
    program.dispose();
  });

  it('that is recorded and fails leaves the device to others', async () => {
    const x = device.tensor(Float32Array.of(1, 2), [2]);
    function* step(): Sliced<void> {
      ops.scale(x, 2);
      yield;
      ops.add(x, device.full([3], 0));
    }
    await expect(device.recordInSlices(device.tidied(step()))).rejects.toMatchObject({
      code: 'INVALID_SHAPE',
    });
    expect([...(await ops.scale(x, 3).read())]).toEqual([3, 6]);
    expect(() => device.record(() => device.record(() => undefined))).toThrow(/already open/);
    device.record(() => ops.scale(x, 2)).dispose();
  });

  it('keeps its tape and its scopes from what is enqueued meanwhile', async () => {
    const weight = device.tensor(Float32Array.of(1, 2), [2]);
    const gradients = new Gradients(device);
    const tape = new Tape(device, [weight]);
    const made: Tensor[] = [];
    function* forward(): Sliced<Tensor> {
      let x = ops.scale(weight, 3);
      for (let i = 0; i < 5; i++) {
        yield;
        x = ops.scale(x, 2);
        made.push(x);
      }
      return ops.sum(x);
    }
    function* step(): Sliced<void> {
      const root = yield* tape.recording(forward());
      yield* tape.backwardSliced([root], gradients);
    }
    const others: Tensor[] = [];
    const work = device.inSlices(device.tidied(step()));
    const turns = await meanwhile(work, () => {
      expect(device.tape).toBeUndefined();
      others.push(ops.scale(weight, 100));
    });
    expect(turns).toBeGreaterThan(5);
    expect(made.every(({ disposed }) => disposed)).toBe(true);
    expect(others.some(({ disposed, requiresGrad }) => disposed || requiresGrad)).toBe(false);
    expect(await gradients.get(weight)?.read()).toEqual(Float32Array.of(96, 96));
    for (const tensor of [...others, weight]) tensor.dispose();
    gradients.dispose();
  });

  it('leaves the scope and the tape of its caller alone, also when it fails', async () => {
    const tape = new Tape(device, []);
    function* failing(): Sliced<void> {
      ops.scale(device.full([2], 1), 2);
      yield;
      throw new Error('half way');
    }
    let outer: Tensor | undefined;
    const work = device.tidy(() =>
      tape.run(() => {
        const promise = device.inSlices(device.tidied(failing()));
        expect(device.tape).toBe(tape);
        outer = device.full([1], 1);
        return promise;
      }),
    );
    await expect(work).rejects.toThrow('half way');
    expect(outer?.disposed).toBe(true);
    expect(device.tape).toBeUndefined();
    const free = device.full([1], 1);
    expect(await free.item()).toBe(1);
    free.dispose();
  });
});

describe('patient work', () => {
  const STEPS = 6;

  /** Per step, each a product of so many rows and columns, how many had been enqueued and had not run. */
  async function backlog(
    device: Device,
    sizes: readonly number[] = new Array<number>(STEPS).fill(700),
  ): Promise<number[]> {
    const waiting: number[] = [];
    const reads: Promise<unknown>[] = [];
    let [enqueued, done] = [0, 0];
    function* work(): Sliced<void> {
      for (const size of sizes) {
        const side = device.full([size, size], 1);
        enqueued++;
        const read = ops.linear(side, side).read();
        reads.push(read.then(() => done++));
        waiting.push(enqueued - done);
        yield;
      }
    }
    await device.inSlices(device.tidied(work()), { isPatient: true });
    await Promise.all(reads);
    return waiting;
  }

  it('lets those in a hurry in between any two of its slices, and nobody otherwise', async () => {
    const device = new Device({ threads: 1 });
    const [one, two] = [device.beginUrgent(), device.beginUrgent()];
    one();
    // A second time it ends nobody else's.
    one();
    expect(await backlog(device)).toEqual(Array(STEPS).fill(1));
    two();
    expect(Math.max(...(await backlog(device)))).toBeGreaterThan(1);
    device.close();
  });

  it('is handed over several steps at a time where these are small', async () => {
    const device = new Device({ threads: 1 });
    const end = device.beginUrgent();
    // No slice ends because its time is over.
    vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    expect(900 ** 3).toBeGreaterThan(PATIENT_WORK);
    expect(await backlog(device, [4, 4, 900, 900, 4, 4, 4, 900, 4])).toEqual([1, 2, 3, 1, 1, 2, 3, 4, 1]);
    end();
    device.close();
  });

  it('goes on to its end where something else fails meanwhile, and leaves that failure to its reader', async () => {
    const device = new Device({ threads: 1 });
    const end = device.beginUrgent();
    const failed = ops.packWeight(device.tensor(Float32Array.of(1, NaN, 1, 1), [2, 2]), 'f32', {
      finite: true,
    });
    expect(await backlog(device)).toHaveLength(STEPS);
    await expect(ops.packedLinear(device.full([1, 2], 1), failed).read()).rejects.toMatchObject({
      code: 'NUMERIC',
    });
    end();
    device.close();
  });
});

async function gradientsOf(model: EncoderDecoderModel, gradients: Gradients): Promise<string[]> {
  const hashes: string[] = [];
  for (const [name, parameter] of model.parameters.entries()) {
    const gradient = gradients.get(parameter);
    hashes.push(`${name} ${gradient ? sha256Hex(new Uint8Array(await gradient.readBytes())) : 'none'}`);
  }
  return hashes;
}

describe.each(['none', 'layers'] as const)('a training step in slices, running again: %s', (backward) => {
  it('has the bits of one at once while other work runs on the device', async () => {
    const { model } = tinyTrainer(device);
    const parameters = model.parameters.all();
    const batch = buildBatch(tinyPool(12));
    const options = { parameters, zLoss: 1e-4, dropout: new DropoutPlan(0.1, 7), backward };
    const before = await valuesOf(model);
    const inputs = tinyPool(4).map(({ input }) => input);
    const instructions = [tinyPool(1)[0]!.instruction];
    const answers = await generateTokens(model, { instructions, inputs, maxTokens: 5 });

    const whole = new Gradients(device);
    const tape = new Tape(device, parameters);
    const expectedSums = await Promise.all(
      device
        .tidy(() => {
          const roots = tape.run(() => {
            const { loss, zTerm } = device.now(model.loss(batch, options));
            return [ops.sum(loss), ops.sum(zTerm)];
          });
          tape.backward(roots, whole);
          return roots;
        })
        .map((root) => root.item()),
    );

    const sliced = new Gradients(device);
    const weight = parameters[0]!;
    const step = accumulateGradients(model, batch, sliced, options);
    const generating = generateTokens(model, { instructions, inputs, maxTokens: 5 });
    const turns = await meanwhile(step, () => device.tidy(() => void ops.scale(weight, 2)));
    expect(turns).toBeGreaterThan(50);
    const { crossEntropy, zLoss } = await (await step).sums;
    expect([crossEntropy, zLoss]).toEqual(expectedSums);
    expect(await generating).toEqual(answers);
    expect(await gradientsOf(model, sliced)).toEqual(await gradientsOf(model, whole));
    expect(await valuesOf(model)).toEqual(before);
    whole.dispose();
    sliced.dispose();
  });
});
