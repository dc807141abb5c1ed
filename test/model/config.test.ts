import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/inference/engine.js';
import { parseModelConfig, readModelConfig, serializeModelConfig } from '../../src/model/config/config.js';

const t5 = { vocab_size: 200, d_model: 32, d_kv: 8, d_ff: 64, num_layers: 2, num_heads: 4 };

describe('config.json', () => {
  it('of an LM-adapted Hugging Face T5 loads unchanged, unknown fields and all', () => {
    const config = parseModelConfig({
      architectures: ['T5ForConditionalGeneration'],
      d_ff: 2048,
      d_kv: 64,
      d_model: 768,
      decoder_start_token_id: 0,
      dropout_rate: 0.1,
      eos_token_id: 1,
      feed_forward_proj: 'gated-gelu',
      initializer_factor: 1.0,
      is_encoder_decoder: true,
      layer_norm_epsilon: 1e-6,
      model_type: 't5',
      num_decoder_layers: 12,
      num_heads: 12,
      num_layers: 12,
      output_past: true,
      pad_token_id: 0,
      relative_attention_num_buckets: 32,
      tie_word_embeddings: false,
      use_cache: true,
      vocab_size: 32128,
    });
    expect(config).toEqual({
      vocabSize: 32128,
      dModel: 768,
      dKv: 64,
      dFf: 2048,
      numLayers: 12,
      numDecoderLayers: 12,
      numHeads: 12,
      relativeAttentionNumBuckets: 32,
      relativeAttentionMaxDistance: 128,
      layerNormEpsilon: 1e-6,
      dropoutRate: 0.1,
      padTokenId: 0,
      eosTokenId: 1,
      decoderStartTokenId: 0,
    });
  });

  it('gives the decoder as many layers as the encoder when it does not say', () => {
    expect(parseModelConfig(t5).numDecoderLayers).toBe(2);
    expect(parseModelConfig({ ...t5, num_decoder_layers: null }).numDecoderLayers).toBe(2);
    expect(parseModelConfig({ ...t5, num_decoder_layers: 5 }).numDecoderLayers).toBe(5);
  });

  it('fills in the documented defaults of "hint"', () => {
    expect(parseModelConfig({ ...t5, hint: {} }).hint).toEqual({
      generator: 'cross_attention',
      adapterSize: 0,
      adapterBias: true,
      prefixLength: 0,
      loraRanks: { q: 0, k: 0, v: 0, o: 0 },
      instructionFusion: true,
      tieHyperencoder: true,
      instructionPaddingMask: true,
      generatorLayerNorm: false,
      perLayerGenerators: false,
      embeddingSlots: 0,
      prefixActivation: 'gelu',
    });
    expect(parseModelConfig(t5)).not.toHaveProperty('hint');
  });

  it('survives being written and read, every field different from its default', () => {
    const file = {
      ...t5,
      num_decoder_layers: 3,
      relative_attention_num_buckets: 16,
      relative_attention_max_distance: 64,
      layer_norm_epsilon: 1e-5,
      dropout_rate: 0.25,
      pad_token_id: 3,
      eos_token_id: 2,
      decoder_start_token_id: 4,
      hint: {
        generator: 'decoder',
        adapter_size: 8,
        adapter_bias: false,
        prefix_length: 5,
        lora_ranks: [1, 2, 3, 4],
        instruction_fusion: false,
        tie_hyperencoder: false,
        instruction_padding_mask: false,
        generator_layer_norm: true,
        per_layer_generators: true,
        embedding_slots: 16,
        prefix_activation: 'tanh',
      },
    };
    const config = parseModelConfig(file);
    const written = serializeModelConfig(config);
    expect(written).toMatchObject(file);
    expect(written).toMatchObject({ feed_forward_proj: 'gated-gelu', tie_word_embeddings: false });
    expect(parseModelConfig(JSON.parse(JSON.stringify(written)))).toEqual(config);
  });

  it.each([
    [
      'a misspelt hint key',
      { hint: { adaptor_size: 8 } },
      /hint\.adaptor_size is unknown; keys are generator, adapter_size/,
    ],
    [
      'an unknown activation',
      { feed_forward_proj: 'gated-mish' },
      /feed_forward_proj must be a function computed here.*relu.*it is "gated-mish"/,
    ],
    [
      'two activations',
      { feed_forward_proj: 'relu', dense_act_fn: 'gelu_new' },
      /dense_act_fn contradicts feed_forward_proj "relu".*it is "gelu_new"/,
    ],
    [
      'a gate that is none',
      { feed_forward_proj: 'gated-gelu', is_gated_act: false },
      /is_gated_act contradicts feed_forward_proj "gated-gelu".*it is false/,
    ],
    [
      'an untied head that is scaled',
      { tie_word_embeddings: false, scale_decoder_outputs: true },
      /scale_decoder_outputs contradicts tie_word_embeddings false/,
    ],
    ['an activation that is no text', { dense_act_fn: 3 }, /dense_act_fn is 3/],
    ['no width', { d_model: undefined }, /d_model is missing/],
    ['a negative size', { num_heads: -1 }, /num_heads is -1/],
    ['a fractional size', { d_ff: 1.5 }, /d_ff is 1\.5/],
    ['an absurd size', { num_layers: 1e9 }, /num_layers is 1000000000/],
    ['a size as text', { d_model: '32' }, /d_model is "32"/],
    ['an epsilon of zero', { layer_norm_epsilon: 0 }, /layer_norm_epsilon is 0/],
    ['certain dropout', { dropout_rate: 1 }, /dropout_rate is 1/],
    [
      'a token outside the vocabulary',
      { eos_token_id: 200 },
      /eos_token_id must be below vocab_size 200, it is 200/,
    ],
    [
      'distances below the buckets',
      { relative_attention_max_distance: 16 },
      /max_distance must be above half/,
    ],
    ['an unknown generator', { hint: { generator: 'magic' } }, /hint\.generator is "magic"/],
    ['three LoRA ranks', { hint: { lora_ranks: [1, 2, 3] } }, /hint\.lora_ranks is \[1, 2, 3\]/],
    [
      'fusion without an encoded instruction',
      { hint: { generator: 'embedding' } },
      /instruction_fusion must be false/,
    ],
    ['fusion with learned modules', { hint: { generator: 'static' } }, /instruction_fusion must be false/],
    [
      'Hypter with prefixes',
      {
        hint: {
          generator: 'hypter',
          instruction_fusion: false,
          per_layer_generators: true,
          prefix_length: 3,
        },
      },
      /prefix_length must be 0/,
    ],
    [
      'per-layer generators without a table size',
      { hint: { per_layer_generators: true } },
      /embedding_slots must be/,
    ],
    [
      'a table size without per-layer generators',
      { hint: { embedding_slots: 4 } },
      /embedding_slots must be 0/,
    ],
  ])('with %s is refused by name and value', (_, change, message) => {
    expect(() => parseModelConfig({ ...t5, ...change }, 'm/config.json')).toThrow(message);
    expect(() => parseModelConfig({ ...t5, ...change }, 'm/config.json')).toThrow(/^m\/config\.json /);
  });

  it.each([
    ['relu, ungated, tied and scaled', 't5', {}, ['relu', false, true, true]],
    ['what feed_forward_proj says', 't5', { feed_forward_proj: 'gated-gelu' }, ['gelu', true, true, true]],
    ['its head neither tied nor scaled', 't5', { tie_word_embeddings: false }, ['relu', false, false, false]],
    [
      'its head not scaled',
      't5',
      { tie_word_embeddings: true, scale_decoder_outputs: false },
      ['relu', false, true, false],
    ],
    [
      'what dense_act_fn and is_gated_act say',
      't5',
      { dense_act_fn: 'gelu_new', is_gated_act: true },
      ['gelu', true, true, true],
    ],
    ['nothing where it says null', 't5', { feed_forward_proj: null }, ['relu', false, true, true]],
    ['gated, never scaled', 'mt5', {}, ['gelu', true, true, false]],
    ['gated, scaled even if untied', 'umt5', { tie_word_embeddings: false }, ['gelu', true, false, true]],
  ])('has the defaults of Hugging Face: %s of %s', (_, model_type, change, wanted) => {
    const config = parseModelConfig({ ...t5, model_type, ...change });
    const [activation, gated, tiedHead, scaledHead] = wanted;
    expect(config.variant).toEqual({ modelType: model_type, activation, gated, tiedHead, scaledHead });
    const written = serializeModelConfig(config);
    expect(parseModelConfig(written)).toEqual(config);
  });

  it('has the sizes of Hugging Face where a file with a model_type leaves them out', () => {
    expect(parseModelConfig({ model_type: 't5' })).toMatchObject({
      vocabSize: 32128,
      dModel: 512,
      numHeads: 8,
    });
    expect(parseModelConfig({ model_type: 'umt5' })).toMatchObject({
      vocabSize: 250112,
      dFf: 1024,
      numHeads: 6,
    });
  });

  it('ends a sequence with each of several ids, and is written so', () => {
    const config = parseModelConfig({ ...t5, eos_token_id: [1, 7, 1] });
    expect(config).toMatchObject({ eosTokenId: 1, moreEosTokenIds: [7] });
    expect(serializeModelConfig(config)).toMatchObject({ eos_token_id: [1, 7] });
    expect(parseModelConfig({ ...t5, eos_token_id: [1] })).toEqual(
      parseModelConfig({ ...t5, eos_token_id: 1 }),
    );
    for (const [ids, message] of [
      [null, /eos_token_id is null: .*no token that ends a sequence.*give its id/],
      [[], /eos_token_id is \[\]/],
      [[1, 200], /eos_token_id must be below vocab_size 200/],
      ['</s>', /eos_token_id is "<\/s>"/],
    ] as const)
      expect(() => parseModelConfig({ ...t5, eos_token_id: ids })).toThrow(message);
  });

  it('of a training run is told apart, and where its models are', async () => {
    const run = join(import.meta.dirname, '../fixtures/version-0.1.0/runs/hint');
    const told = readModelConfig(run);
    await expect(told).rejects.toThrow(/hint is a training run, and no model; .*runs\/hint\/model\.$/);
    const opened = Engine.open(run);
    await expect(opened).rejects.toThrow(/is a training run, and no model/);
  });

  it('is completed by generation_config.json and special_tokens_map.json', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'hint-config-'));
    const write = (name: string, json: object): Promise<void> =>
      writeFile(join(directory, name), JSON.stringify(json));
    try {
      await write('config.json', { ...t5, model_type: 't5', eos_token_id: null });
      await expect(readModelConfig(directory)).rejects.toThrow(/special_tokens_map\.json/);
      await write('special_tokens_map.json', { eos_token: { content: '</s>' } });
      await write('tokenizer.json', { added_tokens: [{ id: 9, content: '</s>' }], model: {} });
      expect((await readModelConfig(directory)).eosTokenId).toBe(9);
      await write('tokenizer.json', {
        model: {
          vocab: [
            ['a', 0],
            ['</s>', -1],
          ],
        },
      });
      expect((await readModelConfig(directory)).eosTokenId).toBe(1);
      await write('generation_config.json', { bos_token_id: 6 });
      expect((await readModelConfig(directory)).decoderStartTokenId).toBe(6);
      await write('generation_config.json', {
        eos_token_id: [3, 4],
        bos_token_id: 6,
        decoder_start_token_id: 5,
      });
      expect(await readModelConfig(directory)).toMatchObject({
        eosTokenId: 3,
        moreEosTokenIds: [4],
        decoderStartTokenId: 5,
      });
      await write('generation_config.json', { eos_token_id: 300 });
      await expect(readModelConfig(directory)).rejects.toThrow(/must be below vocab_size 200, it is/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('begins with the padding token where it names no token to begin with', () => {
    expect(
      parseModelConfig({ ...t5, pad_token_id: 7, decoder_start_token_id: null }).decoderStartTokenId,
    ).toBe(7);
    expect(parseModelConfig({ ...t5, pad_token_id: null }).padTokenId).toBe(0);
  });

  it.each(['longt5', 'switch_transformers', 'pop2piano', 'bart', 'constructor', 7])(
    'of the model_type %s is refused by its name',
    (model_type) => {
      expect(() => parseModelConfig({ ...t5, model_type })).toThrow(
        new RegExp(
          `cannot be opened: (no family recognises )?its model_type ${JSON.stringify(model_type)}( is|; call)`,
        ),
      );
    },
  );

  it('that is no object, no JSON or not there is an error, not a crash', async () => {
    for (const json of [null, [], 'x', 3, undefined]) {
      expect(() => parseModelConfig(json)).toThrow(/not a JSON object/);
    }
    const directory = await mkdtemp(join(tmpdir(), 'hint-config-'));
    try {
      await expect(readModelConfig(directory)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await writeFile(join(directory, 'config.json'), '{"vocab_size": ');
      await expect(readModelConfig(directory)).rejects.toMatchObject({ code: 'INVALID_JSON' });
      await writeFile(join(directory, 'config.json'), JSON.stringify(t5));
      expect((await readModelConfig(directory)).dModel).toBe(32);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
