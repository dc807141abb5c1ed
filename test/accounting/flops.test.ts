import { describe, expect, it } from 'vitest';
import { exampleMultiplyAdds, inferenceFlops, taskMultiplyAdds } from '../../src/accounting/flops.js';
import {
  paperFlopsDecoderOnly,
  paperFlopsHint,
  paperFlopsWithInstruction,
  paperMemoryDecoderOnly,
  paperMemoryHint,
} from '../../src/accounting/paper-costs.js';
import { parseModelConfig } from '../../src/model/config/config.js';

const small = { vocab_size: 200, d_model: 32, d_kv: 8, d_ff: 64, num_layers: 2, num_heads: 4 };
const model = (hint?: object) => parseModelConfig({ ...small, ...(hint && { hint }) });

describe('multiply-adds', () => {
  // d 2, K 3 (heads 1), f 5, V 7, one layer each
  const tiny = { vocab_size: 7, d_model: 2, d_kv: 3, d_ff: 5, num_layers: 1, num_heads: 1 };

  it('are those counted by hand for plain T5: 4 encoder tokens, 2 decoder steps', () => {
    const config = parseModelConfig(tiny);
    const lengths = { instruction: 1, input: 3, output: 2, instructionInInput: true };
    expect(exampleMultiplyAdds(config, lengths)).toEqual({
      // encoder q k v o: 4·4·6; cross k v: 2·4·6; decoder self q k v o and cross q o: 6·2·6
      projections: 96 + 48 + 72,
      // encoder 2·4·4·3; self over 1 and 2 keys: 2·3·3; cross 2·2·4·3
      attention: 96 + 18 + 48,
      feedForward: 4 * 30 + 2 * 30,
      adaptations: 0,
      generators: 0,
      lmHead: 2 * 14,
      total: 216 + 162 + 180 + 28,
    });
    expect(taskMultiplyAdds(config, 1).total).toBe(0);
  });

  it('are two thirds in feed-forward blocks without a gate, and those of a tied head like any', () => {
    const lengths = { instruction: 1, input: 3, output: 2, instructionInInput: true };
    const gated = exampleMultiplyAdds(parseModelConfig(tiny), lengths);
    const v1_0 = exampleMultiplyAdds(parseModelConfig({ ...tiny, model_type: 't5' }), lengths);
    expect(v1_0).toEqual({ ...gated, feedForward: 120, total: gated.total - 60 });
  });

  it('are those counted by hand for HINT with one adapter unit and one prefix', () => {
    const config = parseModelConfig({ ...tiny, hint: { adapter_size: 1, prefix_length: 1 } });
    const lengths = { instruction: 4, input: 2, output: 1, instructionInInput: false };
    expect(exampleMultiplyAdds(config, lengths)).toEqual({
      // encoder 4·2·6; cross k v of the input only 2·2·6; decoder step 6·6
      projections: 48 + 24 + 36,
      // encoder 2·2·(2+1)·3; self 2·(1+1)·3; cross 2·(1 prefix + 4 instruction + 2 input)·3
      attention: 36 + 12 + 42,
      feedForward: 3 * 30,
      // down and up, 2·2·1, for 2 encoder tokens and 1 decoder token
      adaptations: 12,
      generators: 0,
      lmHead: 14,
      total: 108 + 90 + 90 + 12 + 14,
    });
    // adapters: 4 components in 2 slots; prefixes: 2 components in 3 slots
    const rows = 4 * 2 + 2 * 3;
    expect(taskMultiplyAdds(config, 4)).toEqual({
      // hyperencoder 4·4·6; component attention q o rows·2·6, k v 2·4·6; fused k v 2·4·6
      projections: 96 + rows * 12 + 48 + 48,
      attention: 2 * 4 * 4 * 3 + 2 * rows * 4 * 3,
      feedForward: 4 * 30,
      adaptations: 0,
      // per vector 2·(2 + outputs): down, up, bias_up make 2 each, bias_down 1, prefixes 3
      generators: 2 * (8 + 8 + 6 + 8) + 3 * (10 + 10),
      lmHead: 0,
      total: 192 + rows * 12 + 96 + rows * 24 + 120 + 60 + 60,
    });
  });

  // FLOPs that PyTorch's FlopCounterMode counted in an independent implementation of the model, with 7 instruction
  // tokens, 5 input tokens and 4 decoding steps; none of these models has components that are never read.
  it.each([
    ['plain T5', undefined, 507_648],
    ['prefixes', { prefix_length: 5 }, 1_462_016],
    ['fusion alone', {}, 871_424],
    ['LoRA on q and v', { lora_ranks: [4, 0, 4, 0], instruction_fusion: false }, 1_735_680],
    [
      'per-layer decoder generator',
      {
        generator: 'decoder',
        prefix_length: 5,
        generator_layer_norm: true,
        per_layer_generators: true,
        embedding_slots: 16,
      },
      6_925_568,
    ],
    [
      'HyperTune',
      { generator: 'decoder', prefix_length: 5, generator_layer_norm: true, instruction_fusion: false },
      3_200_256,
    ],
    [
      'Hypter, whose output layer makes all slots at once',
      {
        generator: 'hypter',
        adapter_size: 6,
        instruction_fusion: false,
        tie_hyperencoder: false,
        per_layer_generators: true,
      },
      990_976,
    ],
    [
      'learned PEFT',
      { generator: 'static', adapter_size: 8, prefix_length: 5, instruction_fusion: false },
      542_720,
    ],
  ])('equal what a profiler counts: %s', (_, hint, flops) => {
    const lengths = { instruction: 7, input: 5, output: 4, examples: 1, instructionInInput: false };
    expect(inferenceFlops(model(hint), lengths).flops).toBe(flops);
  });

  // Same measurement, less the adapter components of the two cross-attention slots, which that implementation computes.
  it.each([
    ['HINT', { adapter_size: 8, prefix_length: 5 }, 2_452_736, 36 * (2 * 1024 + 2 * 7 * 32) + 2 * 36_096],
  ])('leave out what is never read: %s', (_, hint, flops, unread) => {
    const lengths = { instruction: 7, input: 5, output: 4, examples: 1, instructionInInput: false };
    expect(inferenceFlops(model(hint), lengths).flops).toBe(flops - 2 * unread);
  });

  it('grow 100 times less with the instruction when it is compiled for 100 examples', () => {
    const base = {
      vocab_size: 32128,
      d_model: 768,
      d_kv: 64,
      d_ff: 2048,
      num_layers: 12,
      num_heads: 12,
    };
    const hint = parseModelConfig({ ...base, hint: { adapter_size: 64, prefix_length: 30 } });
    const plain = parseModelConfig(base);
    const cost = (config: typeof hint, instruction: number, instructionInInput: boolean) =>
      inferenceFlops(config, { instruction, input: 44, output: 1, examples: 100, instructionInInput }).flops;
    const slope = (config: typeof hint, inInput: boolean) =>
      (cost(config, 200, inInput) - cost(config, 100, inInput)) / 100;
    expect(slope(hint, false) / slope(plain, true)).toBeLessThan(0.03);
    expect(cost(hint, 133 - 44, false)).toBeLessThan(cost(plain, 133 - 44, true) / 2);
  });

  it('refuse lengths that are no counts', () => {
    const lengths = { instruction: 7, input: 5, output: 4, examples: 1, instructionInInput: false };
    expect(() => inferenceFlops(model(), { ...lengths, input: -1 })).toThrow(/lengths\.input is -1/);
    expect(() => inferenceFlops(model(), { ...lengths, output: 1.5 })).toThrow(/lengths\.output is 1\.5/);
    expect(() => inferenceFlops(model(), { ...lengths, examples: NaN })).toThrow(/lengths\.examples is NaN/);
    expect(() => taskMultiplyAdds(model(), Infinity)).toThrow(/instruction length/);
  });
});

describe('the paper’s formulas', () => {
  const def = { instruction: 133 - 44, input: 44, output: 1, examples: 100 };
  const twoPositive = { ...def, instruction: 199 - 44 };
  const baseline = paperFlopsWithInstruction(2.5e8, def);

  it.each([
    ['Tk-Instruct 250M', 2.5e8, 1.0, 1.5],
    ['Tk-Instruct 3B', 3e9, 12.0, 17.9],
    ['Tk-Instruct 11B', 11e9, 44.0, 65.7],
  ])('reproduce the relative FLOPs of %s', (_, parameters, withDefinition, withExamples) => {
    expect(paperFlopsWithInstruction(parameters, def) / baseline).toBeCloseTo(withDefinition, 1);
    expect(paperFlopsWithInstruction(parameters, twoPositive) / baseline).toBeCloseTo(withExamples, 1);
  });

  it('reproduce GPT-2 XL, which reads the instruction once', () => {
    const lengths = { ...def, instruction: 69 };
    expect(paperFlopsDecoderOnly(1.5e9, lengths) / baseline).toBeCloseTo(4.09, 2);
    expect(paperFlopsDecoderOnly(1.5e9, { ...lengths, instruction: 197 }) / baseline).toBeCloseTo(4.21, 2);
  });

  it('reproduce P3: no prompt and HINT with the prompt split off', () => {
    const joint = paperFlopsWithInstruction(3e9, {
      instruction: 103 - 81,
      input: 81,
      output: 6,
      examples: 100,
    });
    const input = { instruction: 0, input: 81, output: 6, examples: 100 };
    expect(paperFlopsWithInstruction(3e9, input) / joint).toBeCloseTo(0.8, 1);
    const parameters = { model: 2_849_757_184, hypernetwork: 224_100_352, generated: 0 };
    const split = paperFlopsHint(parameters, { ...input, instruction: 24 });
    expect(split / paperFlopsWithInstruction(2_849_757_184, { ...input, instruction: 22 })).toBeCloseTo(
      0.8,
      1,
    );
  });

  it('count the generated parameters once per input token', () => {
    const parameters = { model: 10, hypernetwork: 3, generated: 2 };
    expect(paperFlopsHint(parameters, { instruction: 5, input: 4, output: 1, examples: 7 })).toBe(
      5 * 13 + 7 * 12 * 5,
    );
  });

  it('give the memory of a compiled task and of a key/value cache in values', () => {
    const shape = { layers: 2, heads: 3, headWidth: 5, instruction: 7 };
    expect(paperMemoryHint({ ...shape, width: 11 })).toBe(77 + 1024 * 22 + 60 * 30);
    expect(paperMemoryDecoderOnly(shape)).toBe(2 * 30 * 7);
  });
});
