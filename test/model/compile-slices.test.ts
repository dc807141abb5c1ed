import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { compileHintTasks } from '../../src/inference/encoder-decoder/compile.js';
import { generatedInPieces } from '../../src/model/hint/generated-in-pieces.js';
import { Device } from '../../src/tensor/device.js';
import * as ops from '../../src/tensor/ops.js';
import { runToEnd, type Sliced } from '../../src/tensor/slices.js';
import type { Tensor } from '../../src/tensor/tensor.js';
import { FULL_HINT, randomModel, tinyConfig } from '../inference/models.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());
afterEach(() => vi.restoreAllMocks());

it('makes modules of so many vectors at a time as nobody waits for long, with the values of all at once', async () => {
  const width = 2048;
  const pieces: string[] = [];
  const layers = {
    first: (z: Tensor) => note('first', ops.scale(z, 3)),
    second: (hidden: Tensor) => note('second', hidden.narrow(0, hidden.shape[0] as number)),
  };
  function note(layer: string, made: Tensor): Tensor {
    pieces.push(`${layer} ${made.shape[0]}`);
    return made;
  }
  const made = async (rows: number): Promise<Float32Array> => {
    const z = device.tensor(
      Float32Array.from({ length: rows * width }, (_, i) => i % 1001),
      [rows, width],
    );
    const work = device.tidied(generatedInPieces(device, layers, z, 'gelu', width));
    using result = await device.inSlices(work);
    z.dispose();
    return result.read();
  };
  await made(512);
  expect(pieces.splice(0)).toEqual(['first 512', 'second 512']);
  const values = await made(1025);
  expect(values.findIndex((value, i) => value !== (i % 1001) * 3)).toBe(-1);
  expect(pieces).toEqual([342, 342, 341].flatMap((rows) => [`first ${rows}`, `second ${rows}`]));
  expect(device.statistics().bytesInUse).toBe(0);
});

it('yields between any two ops on the matrices of all slots', async () => {
  const model = randomModel(device, tinyConfig(FULL_HINT));
  model.inferenceDType = 'int8';
  await model.prepareInference();
  const instruction = { ids: Int32Array.of(5, 6, 1), offsets: Int32Array.of(0, 3) };
  // The first one also makes what is the same for all.
  await compileHintTasks(model, instruction);
  // Per stretch without a break, the ops that take more rows than the instruction has.
  const stretches: string[][] = [];
  let large: string[] = [];
  const apply = device.apply.bind(device);
  vi.spyOn(device, 'apply').mockImplementation((name, inputs, attributes) => {
    const rows = inputs[0] ? inputs[0].size / (inputs[0].shape.at(-1) as number) : 0;
    if (rows > 3) large.push(name);
    return apply(name, inputs, attributes);
  });
  vi.spyOn(device, 'inSlices').mockImplementation(<T>(work: Sliced<T>): Promise<T> => {
    function* watched(): Sliced<T> {
      for (;;) {
        const step = work.next();
        stretches.push(large);
        large = [];
        if (step.done) return step.value;
        yield;
      }
    }
    return Promise.resolve(runToEnd(watched()));
  });
  await compileHintTasks(model, instruction);
  const together = stretches.map((names) => names.join(', '));
  expect(together).toContain('attention');
  expect(together).toContain('packed_linear');
  expect(together).toContain('pack_weight');
  expect(together.filter((names) => names.includes(','))).toEqual([]);
  model.dispose();
});
