// The encoder's forward pass against the fastest matrix product of the same run, and where its time goes.
import { buildBatch } from '../dist/index.js';
import { ops } from '../dist/tensor/index.js';
import { randomTokens } from '../dist/benchmark/random-model.js';
import { secondsOf } from '../dist/benchmark/turns.js';
import { median } from '../dist/util/statistics.js';

const ROOF_SIDES = [1024, 2048, 3072];

/**
 * Large square matrix products of the engine.
 * @param {import('../dist/tensor/index.js').Device} device
 */
export function roofMeasurement(device) {
  const matrices = ROOF_SIDES.map((side) => ({
    side,
    a: device.full([side, side], 0.5),
    b: device.full([side, side], 0.25),
  }));
  return {
    /** @returns {Promise<number>} seconds per FLOP of the fastest of them */
    async sample() {
      let best = Infinity;
      for (const { side, a, b } of matrices) {
        const seconds = await secondsOf(() => {
          device.tidy(() => void ops.linear(a, b));
          return device.synchronize();
        });
        best = Math.min(best, seconds / (2 * side ** 3));
      }
      return best;
    },
    dispose() {
      for (const { a, b } of matrices) for (const tensor of [a, b]) tensor.dispose();
    },
  };
}

/**
 * An encoder pass over `rows` inputs of `length` tokens.
 * @param {import('../dist/index.js').EncoderDecoderModel} model
 * @param {Int32Array} [instruction] for models that read one; encoded once, not part of the pass
 */
export function encoderMeasurement(model, uniform, rows, length, instruction = new Int32Array(0)) {
  const { device } = model;
  const batch = buildBatch(
    Array.from({ length: rows }, (_, i) => ({
      id: `${i}`,
      task: '',
      instruction,
      input: randomTokens(uniform, length),
      target: new Int32Array(1),
      references: [],
    })),
  );
  const tasks = device.now(device.tidied(model.encodeTasks(batch.instructions)));
  const pass = () => device.now(model.encodeInputs(batch.inputs, tasks, batch.taskIndex)).encoded;
  return {
    /** @returns {Promise<number>} FLOPs of one pass as the engine counts them */
    async flops() {
      await device.synchronize();
      const before = device.statistics().flops;
      device.tidy(() => void pass());
      await device.synchronize();
      return device.statistics().flops - before;
    },
    /** @returns {Promise<number>} seconds of one pass */
    sample: () =>
      secondsOf(() => {
        device.tidy(() => void pass());
        return device.synchronize();
      }),
    /** @returns {Promise<{op: string, calls: number, seconds: number}[]>} each op of a pass run alone, by op */
    profile: () => profile(device, pass),
  };
}

async function profile(device, pass) {
  const calls = [];
  const made = [];
  // Own properties hide the methods of the classes: calls are noted, and tensors outlive the pass to be read again.
  device.apply = (...call) => {
    calls.push(call);
    return Object.getPrototypeOf(device).apply.apply(device, call);
  };
  device.adopt = (tensor) => {
    tensor.dispose = () => undefined;
    made.push(tensor);
    return tensor;
  };
  try {
    pass();
  } finally {
    delete device.apply;
    delete device.adopt;
  }
  await device.synchronize();
  const byOp = new Map();
  for (const [op, inputs, attributes] of calls) {
    const samples = [];
    for (let i = 0; i < 3; i++) {
      samples.push(
        await secondsOf(() => {
          device.tidy(() => void device.apply(op, inputs, attributes));
          return device.synchronize();
        }),
      );
    }
    const row = byOp.get(op) ?? { op, calls: 0, seconds: 0 };
    byOp.set(op, { op, calls: row.calls + 1, seconds: row.seconds + median(samples) });
  }
  for (const tensor of made) {
    delete tensor.dispose;
    tensor.dispose();
  }
  return [...byOp.values()].sort((a, b) => b.seconds - a.seconds);
}
