import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import {
  native,
  NUMBERS_OF_OUTPUT,
  type AttributeValue,
  type DType,
  type NativeModule,
  type OpSpec,
} from '../../src/tensor/native.js';
import * as ops from '../../src/tensor/ops.js';
import { Tensor } from '../../src/tensor/tensor.js';

/** Tensors by the names that the op's declaration gives its inputs. */
type Named = Record<string, Tensor>;

/** One call of a function of `ops`, with every argument under the name of the declaration. */
interface FaceCall {
  op: string;
  /** Sizes of the dimensions that the declaration names. */
  dims: Record<string, number>;
  /** Of inputs that may have several; f32 unless it says otherwise. */
  dtypes?: Record<string, DType>;
  /** Whether nothing is to run: the order and the dtype of packed weights are each machine's own. */
  isNotRun?: boolean;
  /** Inputs that no fresh tensor can stand for. */
  made?: (device: Device) => Named;
  call: (t: Named) => unknown;
  /** What is to arrive, by name; all others are to keep their defaults. */
  attributes?: Record<string, AttributeValue | undefined>;
  /** Results by the names of outputs, where the function calls them otherwise. */
  outputs?: (result: never) => Named;
}

const rounding = { rounding: 'stochastic', roundingSeed: 5, roundingStep: 6, roundingStream: 7 } as const;
const dropout = { rate: 0.5, seed: 11, site: 13 };
const dropoutAttributes = { dropoutRate: 0.5, dropoutSeed: 11, dropoutSite: 13 };
const pairs = Int32Array.of(0, 1, 3);
const rowOffsets = pairs;

const attentionCall: FaceCall = {
  op: 'attention',
  dims: { qRows: 2, kRows: 3, width: 4, tasks: 2, slots: 2, prefix: 5, sharedRows: 3, buckets: 8, numHeads: 2 }, // prettier-ignore
  call: (t) =>
    ops.attention(t['q']!, t['k']!, t['v']!, {
      numHeads: 2,
      qOffsets: Int32Array.of(0, 1, 2),
      kOffsets: pairs,
      taskIndex: Int32Array.of(1, 0),
      prefixKey: t['prefixKey']!,
      prefixValue: t['prefixValue']!,
      slot: 1,
      sharedKey: t['sharedKey']!,
      sharedValue: t['sharedValue']!,
      sharedOffsets: rowOffsets,
      bias: t['bias']!,
      maxDistance: 9,
      causal: true,
      dropout,
    }),
  attributes: {
    numHeads: 2,
    qOffsets: Int32Array.of(0, 1, 2),
    kOffsets: pairs,
    taskIndex: Int32Array.of(1, 0),
    slot: 1,
    sharedOffsets: rowOffsets,
    maxDistance: 9,
    causal: true,
    training: false,
    ...dropoutAttributes,
  },
};

const state = (t: Named): ops.GreedyState => ({
  token: t['token']!,
  finished: t['finished']!,
  tokens: t['tokens']!,
  position: t['position']!,
  stop: t['stop']!,
});

const adafactorAttributes = {
  learningRate: 0.1,
  decay: 0.2,
  epsilon1: 0.3,
  epsilon2: 0.4,
  clippingThreshold: 0.5,
  multiplyByParameterScale: true,
  gradientScale: 0.6,
  ...rounding,
};

/** By the name of the function; variants behind a colon. */
const calls: Record<string, FaceCall> = {
  linear: {
    op: 'linear',
    dims: { rows: 2, dIn: 3, dOut: 4 },
    call: (t) => ops.linear(t['x']!, t['weight']!, { bias: t['bias']!, activation: 'relu', alpha: 2, outputDType: 'bf16' }), // prettier-ignore
    attributes: { activation: 'relu', alpha: 2, outputDType: 'bf16', training: false },
  },
  groupedLinear: {
    op: 'grouped_linear',
    dims: { rows: 3, groups: 2, slots: 2, dIn: 3, dOut: 4 },
    call: (t) => ops.groupedLinear(t['x']!, t['weight']!, { rowOffsets, slot: 1, bias: t['bias']!, residual: t['residual']!, activation: 'tanh', alpha: 2, outputDType: 'bf16' }), // prettier-ignore
    attributes: { rowOffsets, slot: 1, activation: 'tanh', alpha: 2, outputDType: 'bf16', training: false },
  },
  packWeight: {
    op: 'pack_weight',
    isNotRun: true,
    dims: { groups: 2, slots: 1, rows: 3, columns: 4 },
    call: (t) => ops.packWeight(t['weight']!, 'int8', { finite: true }),
    attributes: { transposed: false, dtype: 'i8', finite: true },
    outputs: ({ tensor, scale, columnSum, rowFactor }: ops.PackedMatrix) =>
      ({ packed: tensor, scale, columnSum, rowFactor }) as Named,
  },
  packedLinear: {
    op: 'packed_linear',
    dims: { rows: 3, groups: 2, slots: 2, dIn: 3, dOut: 4, values: 12 },
    isNotRun: true,
    call: (t) => ops.packedLinear(t['x']!, { tensor: t['packed']!, dOut: 4, scale: t['scale']!, columnSum: t['columnSum']!, rowFactor: t['rowFactor']! }, { rowOffsets, slot: 1, bias: t['bias']!, residual: t['residual']!, activation: 'gelu', outputDType: 'bf16' }), // prettier-ignore
    attributes: { dOut: 4, rowOffsets, slot: 1, activation: 'gelu', outputDType: 'bf16' },
  },
  rmsNorm: {
    op: 'rms_norm',
    dims: { rows: 2, d: 3 },
    call: (t) => ops.rmsNorm(t['x']!, t['weight']!, 0.25, { outputDType: 'bf16' }),
    attributes: { epsilon: 0.25, outputDType: 'bf16' },
  },
  addRmsNorm: {
    op: 'rms_norm',
    dims: { rows: 3, d: 4 },
    call: (t) => ops.addRmsNorm(t['x']!, t['delta']!, t['weight']!, 0.25, { seqOffsets: pairs, dropout, outputDType: 'bf16' }), // prettier-ignore
    attributes: { epsilon: 0.25, seqOffsets: pairs, outputDType: 'bf16', ...dropoutAttributes },
  },
  layerNorm: {
    op: 'layer_norm',
    dims: { rows: 2, d: 3 },
    call: (t) => ops.layerNorm(t['x']!, t['weight']!, t['bias']!, 0.25, { outputDType: 'bf16' }),
    attributes: { epsilon: 0.25, outputDType: 'bf16' },
  },
  addLayerNorm: {
    op: 'layer_norm',
    dims: { rows: 2, d: 4 },
    call: (t) => ops.addLayerNorm(t['x']!, t['delta']!, t['weight']!, t['bias']!, 0.25, { dropout, outputDType: 'bf16' }), // prettier-ignore
    attributes: { epsilon: 0.25, outputDType: 'bf16', ...dropoutAttributes },
  },
  increment: {
    op: 'increment',
    dims: { n: 3 },
    call: (t) => ops.increment(t['x']!, { by: 2, limit: 9 }),
    attributes: { by: 2, limit: 9 },
  },
  embedding: {
    op: 'embedding',
    dims: { rows: 2, vocab: 3, d: 4 },
    call: (t) => ops.embedding(t['ids']!, t['table']!, { outputDType: 'bf16' }),
    attributes: { outputDType: 'bf16' },
  },
  gatedActivation: {
    op: 'gated_activation',
    dims: { rows: 3, dFf: 4 },
    call: (t) =>
      ops.gatedActivation(t['gate']!, t['linear']!, { activation: 'silu', seqOffsets: pairs, dropout }),
    attributes: { activation: 'silu', seqOffsets: pairs, ...dropoutAttributes },
  },
  dropout: {
    op: 'dropout',
    dims: { rows: 3, d: 4 },
    call: (t) => ops.dropout(t['x']!, dropout, pairs),
    attributes: { seqOffsets: pairs, ...dropoutAttributes },
  },
  attention: attentionCall,
  'attention: shared queries': {
    op: 'attention',
    dims: { qRows: 2, kRows: 3, width: 4 },
    call: (t) => ops.attention(t['q']!, t['k']!, t['v']!, { numHeads: 4, kOffsets: pairs, sharedQueries: true }), // prettier-ignore
    attributes: { numHeads: 4, kOffsets: pairs, sharedQueries: true, training: false },
  },
  decodeAttention: {
    op: 'decode_attention',
    dims: { rows: 2, width: 4, capacity: 3, tasks: 2, slots: 2, prefix: 5, buckets: 8, numHeads: 2, sharedRows: 3, contextRows: 3 }, // prettier-ignore
    call: (t) =>
      ops.decodeAttention(
        t['q']!,
        t['k']!,
        t['v']!,
        { key: t['keyCache']!, value: t['valueCache']!, position: t['position']! },
        {
          numHeads: 2,
          taskIndex: Int32Array.of(1, 0),
          prefixKey: t['prefixKey']!,
          prefixValue: t['prefixValue']!,
          slot: 1,
          bias: t['bias']!,
          maxDistance: 9,
          sharedKey: t['sharedKey']!,
          sharedValue: t['sharedValue']!,
          sharedOffsets: Int32Array.of(0, 1, 3),
          contextKey: t['contextKey']!,
          contextValue: t['contextValue']!,
          contextOffsets: Int32Array.of(0, 2, 3),
          contextIndex: Int32Array.of(0, 1),
        },
      ),
    attributes: {
      numHeads: 2,
      taskIndex: Int32Array.of(1, 0),
      slot: 1,
      maxDistance: 9,
      sharedOffsets: Int32Array.of(0, 1, 3),
      contextOffsets: Int32Array.of(0, 2, 3),
      contextIndex: Int32Array.of(0, 1),
    },
  },
  crossEntropy: {
    op: 'cross_entropy',
    dims: { rows: 2, d: 3, vocab: 4 },
    call: (t) => ops.crossEntropy(t['hidden']!, t['weight']!, t['targets']!, { zLoss: 0.5 }),
    attributes: { zLoss: 0.5 },
  },
  segmentMean: {
    op: 'segment_mean',
    dims: { rows: 3, d: 4 },
    call: (t) => ops.segmentMean(t['x']!, pairs),
    attributes: { offsets: pairs },
  },
  concatRows: {
    op: 'concat_rows',
    dims: { rowsA: 1, rowsB: 2, d: 3 },
    call: (t) => ops.concatRows(t['a']!, t['b']!),
  },
  add: {
    op: 'add',
    dims: { n: 3 },
    call: (t) => ops.add(t['a']!, t['b']!, { outputDType: 'bf16' }),
    attributes: { outputDType: 'bf16' },
  },
  scale: { op: 'scale', dims: { n: 3 }, call: (t) => ops.scale(t['x']!, 3), attributes: { factor: 3 } },
  sum: { op: 'sum', dims: { n: 3 }, call: (t) => ops.sum(t['x']!, 3), attributes: { factor: 3 } },
  addSquareNorm: {
    op: 'square_norm',
    dims: { n: 3 },
    call: (t) => ops.addSquareNorm(t['x']!, t['total']!),
  },
  cast: {
    op: 'cast',
    dims: { n: 3 },
    call: (t) => ops.cast(t['x']!, 'bf16'),
    attributes: { to: 'bf16' },
  },
  copy: { op: 'copy', dims: { n: 3 }, call: (t) => ops.copy(t['x']!) },
  fill: {
    op: 'fill',
    dims: { n: 3 },
    call: (t) => ops.fill(t['destination']!, 7),
    attributes: { value: 7 },
  },
  randomFill: {
    op: 'random_fill',
    dims: { n: 3 },
    call: (t) => ops.randomFill(t['destination']!, 'normal', { scale: 2, seed: 3, stream: 4 }),
    attributes: { distribution: 'normal', scale: 2, seed: 3, stream: 4 },
  },
  adafactor: {
    op: 'adafactor',
    dims: { n: 6, rows: 2, columns: 3 },
    made: (device) => ({ parameter: device.full([2, 3], 1), gradient: device.full([2, 3], 1) }),
    call: (t) => ops.adafactor(t['parameter']!, t['gradient']!, { row: t['rowMoment']!, column: t['columnMoment']! }, adafactorAttributes), // prettier-ignore
    attributes: adafactorAttributes,
  },
  'adafactor: full moment': {
    op: 'adafactor',
    dims: { n: 6 },
    call: (t) => ops.adafactor(t['parameter']!, t['gradient']!, { full: t['fullMoment']! }, { learningRate: 0.1, decay: 0.2 }), // prettier-ignore
    attributes: { learningRate: 0.1, decay: 0.2 },
  },
  adamw: {
    op: 'adamw',
    dims: { n: 3 },
    call: (t) => ops.adamw(t['parameter']!, t['gradient']!, { first: t['firstMoment']!, second: t['secondMoment']! }, { learningRate: 0.1, beta1: 0.2, beta2: 0.3, epsilon: 0.4, weightDecay: 0.5, step: 2, gradientScale: 0.6, ...rounding }), // prettier-ignore
    attributes: { learningRate: 0.1, beta1: 0.2, beta2: 0.3, epsilon: 0.4, weightDecay: 0.5, step: 2, gradientScale: 0.6, ...rounding }, // prettier-ignore
  },
  greedy: {
    op: 'greedy',
    dims: { rows: 2, vocab: 3, capacity: 4 },
    call: (t) => ops.greedy(t['logits']!, state(t), 2),
    attributes: { eosId: 2 },
  },
  sample: {
    op: 'sample',
    dims: { rows: 3, vocab: 4, capacity: 5 },
    call: (t) => ops.sample(t['logits']!, { ...state(t), stream: t['stream']!, logProbs: t['logProbs']! }, 2, { temperature: 0.5, topK: 3, topP: 0.75, seed: 9 }), // prettier-ignore
    attributes: { eosId: 2, temperature: 0.5, topK: 3, topP: 0.75, seed: 9 },
  },
  topK: {
    op: 'top_k',
    dims: { rows: 2, vocab: 4 },
    call: (t) => ops.topK(t['logits']!, 2),
    attributes: { k: 2 },
  },
  reorderCache: {
    op: 'reorder_cache',
    dims: { rows: 2, capacity: 3, width: 4 },
    call: (t) => ops.reorderCache(t['cache']!, t['parents']!, t['position']!, 2),
    attributes: { groupSize: 2 },
  },
};

/** Functions of `ops` that call no op. */
const WITHOUT_OP = ['packedTensors'];
/** Attributes that the face keeps to itself: a size that changes no result, and masks that no model asks for. */
const NOT_OFFERED = ['cross_entropy.chunkRows', 'layer_norm.seqOffsets'];

function specOf(op: string): OpSpec {
  const spec = native().ops().find(({ name }) => name === op); // prettier-ignore
  if (!spec) throw new Error(`There is no op ${op}.`);
  return spec;
}

/** A tensor of its own for every input of the op, as its declaration says. */
function tensorsOf(device: Device, { op, dims, dtypes, made }: FaceCall): Named {
  const tensors: Named = made?.(device) ?? {};
  for (const { name, shape, dtype } of specOf(op).inputs) {
    const sides = shape.split(' ').map((word) => dims[word.replace('*', '')] ?? Number(word));
    if (tensors[name] || sides.some(Number.isNaN)) continue;
    const chosen = dtypes?.[name] ?? (dtype === 'floating' || dtype === 'any' ? 'f32' : dtype);
    const count = sides.reduce((a, b) => a * b, 1);
    tensors[name] = device.tensor(
      chosen === 'i32' ? new Int32Array(count) : new Float32Array(count),
      sides,
      chosen,
    );
  }
  return tensors;
}

/** What of an op the calls have used: `linear.x`, `linear.alpha`, `linear.y`. */
const used = new Set<string>();

/** Makes the call and says what arrived elsewhere than its name says. */
function slipsOf(device: Device, face: FaceCall): string[] {
  const spec = specOf(face.op);
  const all = tensorsOf(device, face);
  const given = new Set<string>();
  const named = new Proxy(all, {
    get: (target, name: string) => {
      given.add(name);
      return target[name];
    },
  });
  const enqueue = vi.spyOn(native(), 'enqueue');
  if (face.isNotRun)
    enqueue.mockImplementation((on, _op, _save, numbers) => {
      // Of each output one side, of one element, in f32.
      spec.outputs.forEach((_, i) => numbers.set([1, 0, 1], i * NUMBERS_OF_OUTPUT));
      return spec.outputs.map(() => native().createTensor(on, 'f32', [1], null));
    });
  try {
    const result = face.call(named);
    const [, index, , numbers, ...values] = enqueue.mock.calls.at(-1) as Parameters<NativeModule['enqueue']>;
    const inputs = values.splice(0, spec.inputs.length);
    const attributes = values.splice(0, spec.attributes.length);
    // Outputs that there are took what was left, unless handles were made for them.
    const made = enqueue.mock.results.at(-1)?.value as (object | null)[] | undefined;
    const produced = spec.outputs.map((_, i) => {
      if (numbers[i * NUMBERS_OF_OUTPUT] === -1) return null;
      const spare = values.shift();
      return made ? made[i] : spare;
    });
    const slips: string[] = [];
    if (native().ops()[index]?.name !== face.op) slips.push('the op');
    spec.inputs.forEach(({ name }, i) => {
      if ((inputs[i] ?? null) !== (given.has(name) ? all[name]?.handle : null)) slips.push(name);
      else if (given.has(name)) used.add(`${face.op}.${name}`);
    });
    spec.attributes.forEach(({ name }, i) => {
      try {
        expect(attributes[i]).toEqual(face.attributes?.[name]);
        if (attributes[i] !== undefined) used.add(`${face.op}.${name}`);
      } catch {
        slips.push(name);
      }
    });
    const results: Record<string, unknown> =
      result instanceof Tensor
        ? { [spec.outputs[0]?.name ?? '']: result }
        : ((face.outputs ? face.outputs(result as never) : result) ?? {}) as Record<string, unknown>; // prettier-ignore
    for (const [name, value] of Object.entries(results)) {
      const at = spec.outputs.findIndex((output) => output.name === name);
      if (!(value instanceof Tensor) || produced[at] !== value.handle) slips.push(name);
      else used.add(`${face.op}.${name}`);
    }
    return slips;
  } finally {
    enqueue.mockRestore();
  }
}

describe('the typed face of ops', () => {
  let device: Device;
  beforeAll(() => {
    device = new Device({ threads: 1 });
  });
  afterAll(() => device.close());

  it.each(Object.keys(calls))(
    '%s hands each tensor and attribute to the argument that the declaration names, and back',
    async (name) => {
      expect(slipsOf(device, calls[name] as FaceCall)).toEqual([]);
      await device.synchronize();
    },
  );

  it('covers every op, every input and attribute, and every output that is not only saved for the backward pass', () => {
    const names = native()
      .ops()
      .flatMap(({ name: op, inputs, attributes, outputs }) =>
        [...inputs, ...attributes, ...outputs.filter(({ saved, optional }) => !saved && !optional)].map(
          ({ name }) => `${op}.${name}`,
        ),
      );
    expect(names.filter((name) => !used.has(name) && !NOT_OFFERED.includes(name))).toEqual([]);
    expect(NOT_OFFERED.filter((name) => used.has(name) || !names.includes(name))).toEqual([]);
    const functions = Object.keys(ops).filter((name) => !WITHOUT_OP.includes(name));
    expect(functions.filter((name) => !(name in calls))).toEqual([]);
  });

  it('has no slip of two inputs of one shape that this test would not see', () => {
    const slipped: FaceCall = {
      ...attentionCall,
      call: (t) => attentionCall.call({ ...t, q: t['q']!, k: t['v']!, v: t['k']! }),
    };
    expect(slipsOf(device, slipped)).toEqual(['k', 'v']);
  });

  it('refuses a name that the declaration does not have', async () => {
    const { run, outputOf } = await import('../../src/tensor/run-op.js');
    const x = device.full([2], 1);
    expect(() => run('scale', { y: x })).toThrow(/no input y; it has x/);
    expect(() => run('scale', { x }, { by: 2 })).toThrow(/no attribute by/);
    expect(() => outputOf(run('scale', { x }), 'z')).toThrow(/no output z/);
  });
});
