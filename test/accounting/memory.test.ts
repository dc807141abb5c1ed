import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { memoryReport, taskBytes, taskValues } from '../../src/accounting/memory.js';
import { compileTasks } from '../../src/inference/compile/compiled-tasks.js';
import { disposeTasks } from '../../src/inference/contract/compiled-tasks.js';
import { saveTaskFile } from '../../src/inference/task/task-file.js';
import { parameterCount } from '../../src/model/parameters/parameter-shapes.js';
import { PUBLISHED_SIZES, modelOfSize } from '../../src/model/config/sizes.js';
import { findSystem } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, randomModel, tinyConfig } from '../inference/models.js';

const TOKENS = 7;
const instruction = { ids: Int32Array.of(5, 6, 7, 8, 9, 10, 1), offsets: Int32Array.of(0, TOKENS) };

describe('the memory of a compiled task', () => {
  it.each([
    ['everything', FULL_HINT],
    ['adapters without fusion', { adapter_size: 8, instruction_fusion: false }],
    ['prefixes', { prefix_length: 5 }],
    ['fusion alone', {}],
    ['per-layer generators', { generator: 'decoder', adapter_size: 2, prefix_length: 5, per_layer_generators: true, embedding_slots: 16 }], // prettier-ignore
    [
      'Hypter',
      { generator: 'hypter', adapter_size: 6, instruction_fusion: false, per_layer_generators: true },
    ],
  ])('is what the engine holds, on the device and in a file: %s', async (_, hint) => {
    using device = new Device({ threads: 1 });
    const model = randomModel(device, tinyConfig(hint, { vocab_size: 64 }));
    const tasks = await compileTasks(model, instruction);
    const held = tasks.tensors.reduce((sum, tensor) => sum + tensor.size, 0);
    const values = taskValues(model.config, TOKENS);
    expect(values.total).toBe(held);
    const folder = await mkdtemp(join(tmpdir(), 'hint-memory-'));
    try {
      const path = join(folder, 'task.safetensors');
      const rest = { origin: undefined, inputPrefix: new Int32Array(0) };
      await saveTaskFile(path, { model, fingerprint: 'x', compiled: tasks, ...rest });
      const file = (await stat(path)).size - 4 * values.total;
      // Its header, and nothing else.
      expect(file).toBeGreaterThan(0);
      expect(file).toBeLessThan(4096);
    } finally {
      disposeTasks(tasks);
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is nothing for learned modules, which belong to the model', () => {
    const config = tinyConfig({ generator: 'static', adapter_size: 8, instruction_fusion: false });
    expect(taskValues(config, 100).total).toBe(0);
  });

  it('has the paper’s formula, the values of method §9, and where they cross decoder-only caches', () => {
    const base = modelOfSize('xl');
    const hint = findSystem('hint').hint(base, {});
    const report = memoryReport({ ...base, ...(hint && { hint }) }, 100, 'bf16');
    expect(report.task.adapters).toBe(48 * 2_099_712);
    expect(report.task.prefixes).toBe(72 * 122_880);
    expect(report.task.instructionKeys).toBe(100 * 98_304);
    const [paper, needed, held] = report.rows;
    expect(paper?.values).toBe(2048 * 100 + 1024 * 24 * 2048 + 60 * 24 * 2048);
    expect(paper?.bytes).toBe(2 * (paper?.values ?? 0));
    // 1084·24·2048 / (2·24·2048 − 2048) = 553.5; with twice the layers 1084·24 / (96 − 1) = 273.9
    expect(paper?.crossover).toEqual({ oneStack: 554, bothStacks: 274 });
    expect(needed?.crossover.oneStack).toBeGreaterThan(554);
    // It keeps as much a token as the cache does, and the modules besides.
    expect(held?.crossover.oneStack).toBeNull();
    expect(report.decoderOnly.bothStacks).toBe(2 * 2 * 48 * 2048 * 100);
    expect(report.perOutputToken).toBe(4 * 98_304);
  });

  it('of T5-XL is at most 190 MiB in an engine of int8, cached and in its file, and cannot be in one of bf16', () => {
    const base = modelOfSize('xl');
    const hint = findSystem('hint').hint(base, {});
    const config = { ...base, ...(hint && { hint }) };
    const mebibytes = (bytes: number): number => bytes / 2 ** 20;
    const [bf16, int8] = (['bf16', 'int8'] as const).map((dtype) => taskBytes(config, 197, dtype));
    expect(mebibytes(int8?.total ?? NaN)).toBeLessThan(190);
    expect(mebibytes(int8?.file ?? NaN)).toBeLessThan(190);
    // 48 slots of two matrices of 2048 by 512, two bytes a value.
    expect(mebibytes(bf16?.adapters ?? NaN)).toBeGreaterThan(192);
    expect(mebibytes(bf16?.total ?? NaN)).toBeLessThan(250);
  });

  it('refuses a length that is no count', () => {
    expect(() => memoryReport(tinyConfig(FULL_HINT), -1, 'f32')).toThrow(/instruction length is -1/);
  });
});

describe('published sizes', () => {
  it('have the published numbers of parameters', () => {
    expect(PUBLISHED_SIZES.map((size) => parameterCount(modelOfSize(size)))).toEqual([
      76_961_152, 247_577_856, 783_150_080, 2_849_757_184, 11_135_332_352,
    ]);
  });
});
