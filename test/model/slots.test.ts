import { describe, expect, it } from 'vitest';
import { taskValues } from '../../src/accounting/memory.js';
import { parseModelConfig } from '../../src/model/config/config.js';
import { adaptationTable, generatesBySlot, sizeOf } from '../../src/model/modules/adaptations.js';
import { decoderSlot, slotCount, slotsOf } from '../../src/model/modules/slots.js';

const PREFIXES_AND_ADAPTERS = { adapter_size: 3, prefix_length: 2, lora_ranks: [1, 0, 1, 0] };
const modelWith = (hint: object) =>
  parseModelConfig({
    ...{ vocab_size: 32, d_model: 8, d_kv: 2, d_ff: 16, num_layers: 2, num_decoder_layers: 3, num_heads: 2 },
    hint: { ...PREFIXES_AND_ADAPTERS, ...hint },
  });
const SEPARATE = [{}, { generator: 'decoder' }, { generator: 'embedding', instruction_fusion: false }];
const WHOLE = [
  { per_layer_generators: true, embedding_slots: 1 },
  { generator: 'static', instruction_fusion: false },
  { generator: 'static', instruction_fusion: false, per_layer_generators: true },
];

describe('the slots of modules', () => {
  it('number the attentions: one an encoder layer, two a decoder layer', () => {
    const config = modelWith({});
    expect(slotCount(config)).toBe(8);
    expect([0, 1, 2].map((layer) => decoderSlot(config, layer))).toEqual([2, 4, 6]);
  });

  it.each([...SEPARATE, ...WHOLE])('give every attention its prefixes and LoRA with %j', (hint) => {
    const config = modelWith(hint);
    for (const name of ['prefix_key', 'prefix_value', 'lora_q_a', 'lora_v_b'] as const)
      expect(slotsOf(config, name)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it.each(SEPARATE)('make no adapter that no layer reads with %j', (hint) => {
    for (const name of ['adapter_down', 'adapter_up', 'adapter_bias_down', 'adapter_bias_up'] as const)
      expect(slotsOf(modelWith(hint), name)).toEqual([0, 1, 2, 4, 6]);
  });

  it.each(WHOLE)('hold the adapters of all slots where they are one tensor, with %j', (hint) => {
    expect(slotsOf(modelWith(hint), 'adapter_down')).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it.each([...SEPARATE.slice(0, 2), WHOLE[0] as object])('are counted as they are held, with %j', (hint) => {
    const config = modelWith(hint);
    const held = adaptationTable(config).map(
      ({ name, shape }) => slotsOf(config, name).length * sizeOf(shape),
    );
    const { adapters, prefixes, lora } = taskValues(config, 5);
    expect(adapters + prefixes + lora).toBe(held.reduce((sum, values) => sum + values, 0));
  });

  it('are generated one by one only where no product makes several', () => {
    expect(SEPARATE.map((hint) => generatesBySlot(modelWith(hint)))).toEqual([true, true, true]);
    expect(WHOLE.map((hint) => generatesBySlot(modelWith(hint)))).toEqual([false, false, false]);
  });
});
