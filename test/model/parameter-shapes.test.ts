import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseModelConfig, serializeModelConfig } from '../../src/model/config/config.js';
import { adaptationTable, componentsPerSlot, sizeOf } from '../../src/model/modules/adaptations.js';
import { initialisation, initialisations } from '../../src/model/parameters/initialisation.js';
import { parameterCount, parameterShapes } from '../../src/model/parameters/parameter-shapes.js';
import { slotCount } from '../../src/model/modules/slots.js';
import { sizedConfig, type ModelSize } from '../../src/model/config/sizes.js';

const model = (size: ModelSize, hint?: object) =>
  parseModelConfig({ ...serializeModelConfig(sizedConfig(size)), ...(hint && { hint }) });

describe('the tensor table', () => {
  const path = new URL('../fixtures/safetensors/shapes.json', import.meta.url);
  const golden = JSON.parse(readFileSync(path, 'utf8')) as {
    t5: Record<string, number[]>;
    config: object;
    cases: Record<string, { hint: object; tensors: Record<string, number[]> }>;
  };

  it.each(Object.entries(golden.cases))(
    'is that of a checkpoint of the original: %s',
    (_, { hint, tensors }) => {
      const shapes = parameterShapes(parseModelConfig({ ...golden.config, hint }));
      expect(Object.fromEntries(shapes)).toEqual({ ...golden.t5, ...tensors });
    },
  );

  it('is Hugging Face’s for plain T5', () => {
    expect(Object.fromEntries(parameterShapes(parseModelConfig(golden.config)))).toEqual(golden.t5);
  });

  it.each([
    ['small', 16_449_536, 18_883_264, 25_178_816, 76_961_152],
    ['base', 24_674_304, 84_954_240, 113_275_008, 247_577_856],
    ['large', 32_899_072, 308_332_032, 409_019_904, 783_150_080],
    ['xl', 65_798_144, 1_157_729_280, 1_560_431_616, 2_849_757_184],
    ['xxl', 131_596_288, 4_630_714_368, 6_241_425_408, 11_135_332_352],
  ] as const)('has the published parameter counts of T5 %s', (size, embedding, encoder, decoder, total) => {
    const config = model(size);
    expect(parameterCount(config, 'shared.')).toBe(embedding);
    expect(parameterCount(config, 'encoder.')).toBe(encoder);
    expect(parameterCount(config, 'decoder.')).toBe(decoder);
    expect(parameterCount(config, 'lm_head.')).toBe(embedding);
    expect(parameterCount(config)).toBe(total);
  });

  it.each([
    ['base', 64, 5_253_120, 2_359_296, 14_149_632, 5_227_776],
    ['base', 512, 30_025_728, 2_359_296, 39_266_304, 30_016_512],
    ['xl', 512, 160_137_216, 16_777_216, 224_100_352, 160_026_624],
    ['xxl', 512, 320_274_432, 67_108_864, 574_029_824, 320_016_384],
  ] as const)(
    'has the published hypernetwork of %s with adapters of %i',
    (size, adapter, embedding, attention, all, values) => {
      const config = model(size, { adapter_size: adapter, prefix_length: 30 });
      expect(parameterCount(config, 'hypernetwork.embedding.')).toBe(embedding);
      expect(parameterCount(config, 'hypernetwork.attention.')).toBe(attention);
      expect(parameterCount(config, 'hypernetwork.')).toBe(all);
      const perSlot = adaptationTable(config).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
      expect(perSlot * slotCount(config)).toBe(values);
    },
  );

  it('lists what is generated in the order of the components inside a slot', () => {
    const config = model('small', { adapter_size: 4, prefix_length: 3, lora_ranks: [2, 0, 0, 5] });
    expect(adaptationTable(config)).toEqual([
      { name: 'adapter_down', components: 4, offset: 0, shape: [512, 4] },
      { name: 'adapter_up', components: 4, offset: 4, shape: [4, 512] },
      { name: 'adapter_bias_down', components: 1, offset: 8, shape: [4] },
      { name: 'adapter_bias_up', components: 1, offset: 9, shape: [512] },
      { name: 'prefix_key', components: 3, offset: 10, shape: [3, 384] },
      { name: 'prefix_value', components: 3, offset: 13, shape: [3, 384] },
      { name: 'lora_q_a', components: 2, offset: 16, shape: [512, 2] },
      { name: 'lora_q_b', components: 2, offset: 18, shape: [2, 384] },
      { name: 'lora_o_a', components: 5, offset: 20, shape: [384, 5] },
      { name: 'lora_o_b', components: 5, offset: 25, shape: [5, 512] },
    ]);
    expect(componentsPerSlot(config)).toBe(30);
    expect(adaptationTable(model('small'))).toEqual([]);
  });
});

describe('initialisation', () => {
  // small: d 512, K 384, so that a fan-in taken from the wrong side shows.
  const config = model('small', { adapter_size: 8, prefix_length: 7, generator_layer_norm: true });

  it.each([
    ['shared.weight', 'normal', 1],
    ['lm_head.weight', 'truncated-normal', 1 / Math.sqrt(512)],
    ['encoder.block.0.layer.0.SelfAttention.q.weight', 'normal', 1 / Math.sqrt(512 * 64)],
    ['encoder.block.1.layer.0.SelfAttention.k.weight', 'normal', 1 / Math.sqrt(512)],
    ['decoder.block.1.layer.1.EncDecAttention.v.weight', 'normal', 1 / Math.sqrt(512)],
    ['decoder.block.1.layer.1.EncDecAttention.o.weight', 'normal', 1 / Math.sqrt(384)],
    ['decoder.block.0.layer.2.DenseReluDense.wi_1.weight', 'truncated-normal', 1 / Math.sqrt(512)],
    ['decoder.block.0.layer.2.DenseReluDense.wo.weight', 'truncated-normal', 1 / Math.sqrt(1024)],
    ['decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight', 'uniform', Math.sqrt(6 / 38)],
    ['encoder.final_layer_norm.weight', 'constant', 1],
    ['encoder.block.3.layer.1.layer_norm.weight', 'constant', 1],
    ['hypernetwork.embedding.weight', 'normal', 1 / Math.sqrt(512)],
    ['hypernetwork.attention.q.weight', 'normal', 1 / Math.sqrt(512 * 64)],
    ['hypernetwork.attention.o.weight', 'normal', 1 / Math.sqrt(384)],
    ['hypernetwork.adapter_down.wi.weight', 'truncated-normal', 1 / Math.sqrt(512)],
    ['hypernetwork.prefix_key.wo.weight', 'truncated-normal', 1 / Math.sqrt(512)],
    ['hypernetwork.prefix_key.layer_norm.weight', 'constant', 1],
  ])('of %s is %s with scale %f', (name, kind, scale) => {
    const { kind: actualKind, scale: actualScale } = initialisation(config, name);
    expect(actualKind).toBe(kind);
    expect(actualScale).toBeCloseTo(scale, 12);
  });

  it('takes the fan-in of a per-layer generator over all embeddings it reads', () => {
    const perLayer = model('small', {
      generator: 'decoder',
      prefix_length: 2,
      per_layer_generators: true,
      embedding_slots: 16,
    });
    expect(initialisation(perLayer, 'hypernetwork.prefix_key.wi.weight').scale).toBeCloseTo(
      1 / Math.sqrt(16 * 512),
      12,
    );
  });

  it('starts learned adapters and LoRA without effect', () => {
    const learned = model('small', {
      generator: 'static',
      adapter_size: 8,
      prefix_length: 7,
      lora_ranks: [4, 0, 0, 4],
      instruction_fusion: false,
    });
    const all = initialisations(learned);
    for (const name of ['adapter_up', 'adapter_bias_down', 'adapter_bias_up', 'lora_q_b', 'lora_o_b']) {
      expect(all.get(`peft.${name}`)).toEqual({ kind: 'constant', scale: 0 });
    }
    expect(all.get('peft.lora_o_a')!.scale).toBeCloseTo(1 / Math.sqrt(384), 12);
    expect(all.get('peft.prefix_key')!.kind).toBe('normal');
    expect([...all.keys()]).toEqual([...parameterShapes(learned).keys()]);
  });

  it('of a parameter that does not exist is an error', () => {
    expect(() => initialisation(config, 'encoder.block.8.layer.0.layer_norm.weight')).toThrow(/no parameter/);
  });
});
