import { describe, expect, it } from 'vitest';
import { parseModelConfig, type ModelConfig } from '../../src/model/config/config.js';
import { describeSystem, findSystem, SYSTEMS, type HintOptions } from '../../src/systems/index.js';
import { PAPER_HYPERNETWORK } from '../../src/systems/hint.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';

const base: ModelConfig = parseModelConfig({
  vocab_size: 200,
  d_model: 32,
  d_kv: 8,
  d_ff: 64,
  num_layers: 2,
  num_heads: 4,
});

const hintOf = (name: string, options: HintOptions = {}, from = base) => findSystem(name).hint(from, options);

describe('sizes and variants', () => {
  it('are the paper’s where a run says nothing', () => {
    const sizes = SYSTEMS.map((system) => {
      const hint = system.hint(base, {});
      return [
        system.name,
        hint && [
          hint.generator,
          hint.adapterSize,
          hint.prefixLength,
          hint.loraRanks.q,
          hint.instructionFusion,
        ],
      ];
    });
    expect(Object.fromEntries(sizes)).toEqual({
      hint: ['cross_attention', 512, 30, 0, true],
      'hint-no-fusion': ['cross_attention', 512, 30, 0, false],
      'hint-no-peft': ['cross_attention', 0, 0, 0, true],
      'hint-decoder': ['decoder', 0, 30, 0, true],
      'hint-untied': ['cross_attention', 512, 30, 0, true],
      'adapters-only': ['cross_attention', 512, 0, 0, false],
      'prefixes-only': ['cross_attention', 0, 30, 0, false],
      lora: ['cross_attention', 0, 0, 128, false],
      'tk-instruct': undefined,
      'tk-instruct-peft': ['embedding', 512, 30, 0, false],
      'no-instruct': undefined,
      t0: undefined,
      't0-peft': ['embedding', 512, 30, 0, false],
      'no-prompt': undefined,
      hypter: ['hypter', 8, 0, 0, false],
      hypertune: ['decoder', 0, 30, 0, false],
    });
  });

  it.each<[string, HintOptions, HintOptions]>([
    [
      'prefixes-only',
      { prefixLength: 512, tieHyperencoder: false },
      { prefixLength: 512, tieHyperencoder: false },
    ],
    ['lora', { loraRanks: { q: 512, k: 0, v: 512, o: 0 } }, { loraRanks: { q: 512, k: 0, v: 512, o: 0 } }],
    ['tk-instruct-peft', { generator: 'static' }, { generator: 'static', adapterSize: 512 }],
    [
      'hint-decoder',
      { adapterSize: 512, perLayerGenerators: false },
      { adapterSize: 512, prefixLength: 30, perLayerGenerators: false, embeddingSlots: 0 },
    ],
    ['hint', { adapterBias: undefined, adapterSize: 64 }, { adapterSize: 64, adapterBias: true }],
    ['adapters-only', { prefixLength: 0 }, { prefixLength: 0, adapterSize: 512 }],
  ])('%s takes %j', (name, options, expected) => {
    expect(hintOf(name, options)).toMatchObject(expected);
  });

  it('every option that a system lists can be given', () => {
    for (const { name, hypernetwork, hint } of SYSTEMS) {
      for (const key of hypernetwork?.options ?? []) {
        expect([name, key, hint(base, { [key]: hypernetwork!.defaults[key] }) !== undefined]).toEqual([
          name,
          key,
          true,
        ]);
      }
    }
  });

  it('a LoRA rank alone means queries and values', () => {
    const config = (loraRanks: unknown) =>
      parseTrainingConfig({
        model: { init: 't5', hint: { loraRanks } },
        data: { directory: 'data' },
        output: 'run',
      }).model.hint.loraRanks;
    expect(config(512)).toEqual({ q: 512, k: 0, v: 512, o: 0 });
    expect(config({ q: 1, k: 2, v: 3, o: 4 })).toEqual({ q: 1, k: 2, v: 3, o: 4 });
    expect(() => config('much')).toThrow(/loraRanks is "much": must be a rank for queries and values/);
    expect(() => config({ q: 1 })).toThrow(/loraRanks/);
  });
});

describe('contradictions', () => {
  it.each<[string, HintOptions, RegExp]>([
    ['lora', { adapterSize: 64 }, /lora has adapterSize 0.*set 64; it can be given loraRanks, /],
    ['prefixes-only', { loraRanks: { q: 1, k: 0, v: 0, o: 0 } }, /given prefixLength/],
    ['adapters-only', { instructionFusion: true }, /adapters-only has instructionFusion false.*set true/],
    ['hint', { generator: 'hypter' }, /has generator cross_attention.*choose another system/],
    ['hint-no-peft', { prefixLength: 30 }, /hint-no-peft has prefixLength 0/],
    ['hypter', { prefixLength: 30 }, /hypter has prefixLength 0.*given adapterSize/],
    ['tk-instruct', { prefixLength: 30, adapterSize: 4 }, /no hypernetwork.*set prefixLength, adapterSize/],
    ['t0-peft', { generator: 'decoder' }, /t0-peft has the generator embedding or static, not decoder/],
    ['adapters-only', { adapterSize: 0 }, /generate nothing.*Set one of adapterSize/],
    ['hint', { adapterSize: 0, prefixLength: 0 }, /generate nothing.*adapterSize, prefixLength, loraRanks/],
    ['hint-decoder', { perLayerGenerators: false, embeddingSlots: 4 }, /embedding_slots must be 0/],
    ['hint-decoder', { embeddingSlots: 0 }, /embedding_slots must be at least 1/],
  ])('%s with %j is an error that says what is possible', (name, options, message) => {
    expect(() => hintOf(name, options)).toThrow(message);
  });

  it('a checkpoint of another kind of hypernetwork is refused, not half used', () => {
    const stored = { ...base, hint: { ...PAPER_HYPERNETWORK, adapterSize: 7 } };
    expect(() => hintOf('hypter', {}, stored)).toThrow(/generator cross_attention.*hypter has hypter/);
    expect(() => hintOf('hint-untied', {}, stored)).toThrow(/tieHyperencoder true.*start from a plain T5/);
    expect(() => hintOf('hint-no-peft', {}, stored)).toThrow(/adapterSize 7/);
    expect(() =>
      hintOf('tk-instruct-peft', {}, { ...base, hint: { ...PAPER_HYPERNETWORK, instructionFusion: false } }),
    ).toThrow(/generator embedding or static, not cross_attention/);
  });

  it('a checkpoint’s sizes stand over a system’s, a run’s over both', () => {
    const stored = { ...base, hint: { ...PAPER_HYPERNETWORK, adapterSize: 7, prefixLength: 5 } };
    expect(hintOf('hint', {}, stored)).toMatchObject({ adapterSize: 7, prefixLength: 5 });
    expect(hintOf('hint-no-fusion', {}, stored)).toMatchObject({ adapterSize: 7, instructionFusion: false });
    expect(hintOf('hint', { prefixLength: 9 }, stored)).toMatchObject({ adapterSize: 7, prefixLength: 9 });
  });
});

describe('a system in words', () => {
  const words = (name: string) => describeSystem(findSystem(name));

  it('says what is fed, generated and trained', () => {
    expect(words('hint')).toMatchObject({
      hypernetworkReads: 'instruction',
      modelReads: 'input',
      generates: 'adapters 512, prefixes 30, fusion',
      trains: 'everything',
    });
    expect(words('tk-instruct-peft')).toMatchObject({
      hypernetworkReads: 'nothing',
      modelReads: 'instruction and input',
      generates: 'learned adapters 512, learned prefixes 30',
    });
    expect(words('hypertune')).toMatchObject({ generates: 'prefixes 30', trains: 'hypernetwork' });
    expect(words('t0')).toMatchObject({ generates: 'nothing', options: [] });
    expect(words('lora').generates).toBe('LoRA q 128, LoRA v 128');
  });

  it('shows P3 as the paper does', () => {
    const form = (name: string) => findSystem(name).p3Setting({}).form;
    expect(['t0', 't0-peft', 'no-prompt', 'hypter'].map(form)).toEqual(['t0', 't0', 'no-prompt', 'joint']);
    expect(findSystem('hypter').p3Setting({ form: 'split', shots: 2 })).toEqual({ form: 'split', shots: 2 });
  });
});
