import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeInt8, inspectInt8 } from '../../src/cli/commands/inspect/int8.js';
import { loadModel, saveModel } from '../../src/model/checkpoint/checkpoint.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from '../inference/models.js';

const FAMILIES = join(import.meta.dirname, '../fixtures/families');
const { signal } = new AbortController();
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inspect-int8-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('hint inspect --int8', () => {
  it('measures every product that int8 quantises, with the tokens of a text', async () => {
    const model = await writeModel(tinyConfig(FULL_HINT));
    const text = join(folder, 'text.txt');
    await writeFile(text, 'A horse and two birds.\n\nThree cats sleep.\n');
    const report = await inspectInt8(model, { text, threads: 1 }, signal);
    expect(report.inputs).toBe(2);
    // Two encoder layers of q, k, v, o, wi_0, wi_1 and wo, and keys and values of two decoder layers.
    expect(report.layers).toHaveLength(2 * 7 + 2 * 2);
    for (const { layer, difference, outlier } of report.layers) {
      expect(difference, layer).toBeGreaterThan(0);
      expect(difference, layer).toBeLessThan(5e-2);
      expect(outlier, layer).toBeGreaterThan(1);
    }
    expect(report.logits).toBeGreaterThan(0);
    expect(describeInt8(report)).toContain('encoder.block.1.layer.1.DenseReluDense.wi_1');
    const beyond = { ...report, logits: 0.1 };
    expect(describeInt8({ ...beyond, logitsOfBf16: 0.01 })).toContain('use --dtype bf16');
    expect(describeInt8({ ...beyond, logitsOfBf16: 0.09 })).toContain('use --dtype f32');
    await removeAll([model]);
  });

  it('shows a column of a norm that is 1,000 times as large as others, and what was done about it', async () => {
    const model = join(FAMILIES, 't5-v1.1');
    const before = await inspectInt8(model, { threads: 1 }, signal);
    const changed = join(folder, 'outliers');
    {
      await using device = new Device({ threads: 1 });
      const t5 = await loadModel(device, model);
      const layer = 'encoder.block.0.layer.0';
      const matrices = ['q', 'k', 'v'].map(
        (name) => [`${layer}.SelfAttention.${name}.weight`, 1 / 1000] as const,
      );
      for (const [name, factor] of [[`${layer}.layer_norm.weight`, 1000] as const, ...matrices]) {
        const parameter = t5.parameters.get(name);
        const width = parameter.shape.at(-1) as number;
        const values = (await parameter.read()).map((value, i) => (i % width === 3 ? value * factor : value));
        device.write(parameter, new Uint8Array(values.buffer));
      }
      await saveModel(t5, changed);
      t5.dispose();
    }
    const after = await inspectInt8(changed, { threads: 1 }, signal);
    const [first] = before.layers;
    const [behind] = after.layers;
    expect(first?.rescaled).toBe(0);
    expect(behind?.rescaled).toBe(1);
    expect(behind?.outlier).toBeGreaterThan(first?.outlier as number);
    expect(behind?.difference).toBeLessThan(5e-2);
  });

  it('refuses a text without a line, and a model that int8 is not for', async () => {
    const empty = join(folder, 'empty.txt');
    await writeFile(empty, '\n \n');
    const model = await writeModel(tinyConfig(null));
    await expect(inspectInt8(model, { text: empty, threads: 1 }, signal)).rejects.toMatchObject({
      code: 'INVALID_DATA',
    });
    await expect(inspectInt8(empty, { threads: 1 }, signal)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('the folder of one') as string,
    });
    const gpt2 = join(FAMILIES, '../decoder-only/gpt2');
    await expect(inspectInt8(gpt2, { threads: 1 }, signal)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
    await removeAll([model]);
  });
});
