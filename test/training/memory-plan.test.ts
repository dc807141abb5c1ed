import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenizedExample } from '../../src/data/batch.js';
import type { T5Variant } from '../../src/model/config/variant.js';
import { buildModel } from '../../src/model/hint/build-model.js';
import { initialiseDecoderOnlyModel } from '../../src/model/decoder-only/checkpoint.js';
import { parseDecoderOnlyConfig } from '../../src/model/decoder-only/config.js';
import { initialiseParameters } from '../../src/model/parameters/initialise.js';
import {
  makesModulesAgain,
  runsLayersAgain,
  type BackwardPlan,
} from '../../src/model/memory/backward-plan.js';
import type { TrainableModel } from '../../src/model/trainable/trainable.js';
import { Device } from '../../src/tensor/device.js';
import type { FloatDType } from '../../src/tensor/ops.js';
import { PoolSource } from '../../src/training/sources/example-source.js';
import { MARGIN } from '../../src/accounting/training-memory.js';
import { planMemory, type MemoryPlan } from '../../src/training/memory/memory-plan.js';
import { keepParameters } from '../../src/training/step/param-dtype.js';
import { ADAFACTOR, Optimizer } from '../../src/training/step/optimizer.js';
import { assignGroups } from '../../src/training/step/parameter-groups.js';
import { planRun } from '../../src/training/run/plan-run.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import type { TrainingEvent } from '../../src/training/run/events.js';
import { Trainer } from '../../src/training/step/trainer.js';
import { tinyConfig } from '../inference/models.js';
import { tinyRun } from './run-setup.js';
import { SETTINGS } from './tiny.js';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-memory-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const SIZE = { vocab_size: 200, d_model: 64, d_kv: 16, d_ff: 128, num_layers: 3, num_heads: 4 };
const UNLIMITED = 2 ** 50;

interface Shape {
  tasks: number;
  perTask: number;
  instruction: number;
  input: number;
  target: number;
}

function pool({ tasks, perTask, instruction, input, target }: Shape): TokenizedExample[] {
  const words = (length: number, seed: number): Int32Array =>
    Int32Array.from({ length }, (_, i) => 3 + ((7 * i + 13 * seed) % 190));
  const instructions = Array.from({ length: tasks }, (_, task) => words(instruction, task));
  return Array.from({ length: tasks * perTask }, (_, i) => ({
    id: `${i}`,
    task: `${i % tasks}`,
    instruction: instructions[i % tasks] as Int32Array,
    input: words(input, i),
    target: words(target, 2 * i),
    references: [],
  }));
}

interface Setup {
  model: TrainableModel;
  optimizer: Optimizer;
  trainer: (mode: BackwardPlan) => Trainer;
  plan: (budget: number, tokenBudget?: number) => Promise<MemoryPlan>;
}

/** A model with what trains it on whole batches of a pool. */
function setUp(
  model: TrainableModel,
  examples: readonly TokenizedExample[],
  weights: FloatDType = 'f32',
): Setup {
  const assigned = assignGroups(
    model.parameters.entries(),
    [{ name: 'all', takes: () => true, stepOffset: 0 }],
    {
      firstStep: 0,
      multiplyByParameterScale: true,
      paramDtype: weights,
    },
  );
  const groups = model.device.now(keepParameters(model.parameters, assigned, weights));
  const optimizer = new Optimizer(model.device, ADAFACTOR, groups);
  const source = (): PoolSource => new PoolSource(examples, 1, 'pool');
  const settings = { batchSize: examples.length, tokenBudget: 100_000 };
  return {
    model,
    optimizer,
    trainer: (mode) =>
      new Trainer(
        { model, source: source(), optimizer },
        { ...SETTINGS, ...settings, backward: mode, schedule: { ...SETTINGS.schedule, steps: 2 } },
      ),
    plan: (budget, tokenBudget = settings.tokenBudget) =>
      planRun({
        model,
        optimizer,
        source: source(),
        settings: {
          ...settings,
          tokenBudget,
          recompute: 'auto',
          device: 'cpu',
          threads: 0,
          memoryBudget: budget,
        },
      }),
  };
}

function hintSetup(
  device: Device,
  hint: Record<string, unknown> | null,
  shape: Shape,
  dtype: FloatDType = 'f32',
  weights: FloatDType = 'f32',
): Setup {
  const config = tinyConfig(hint, SIZE);
  const model = buildModel(device, config, initialiseParameters(device, config, 1));
  model.parameters.computeDtype = dtype;
  const readsNothing = hint === null || hint.generator === 'static';
  return setUp(model, pool(readsNothing ? { ...shape, instruction: 0 } : shape), weights);
}

/** What two steps of training take at most. */
async function peakOf(device: Device, trainer: Trainer): Promise<number> {
  await device.synchronize();
  device.resetPeakMemory();
  for await (const report of trainer.steps()) expect(report.microbatches).toBe(1);
  await device.synchronize();
  trainer.dispose();
  return device.statistics().peakBytesInUse;
}

const MANY: Shape = { tasks: 16, perTask: 1, instruction: 12, input: 16, target: 3 };
const FEW: Shape = { tasks: 3, perTask: 10, instruction: 30, input: 40, target: 6 };
const V1_0: T5Variant = {
  modelType: 't5',
  activation: 'relu',
  gated: false,
  tiedHead: true,
  scaledHead: true,
};
const MODULES = { adapter_size: 16, prefix_length: 8 };

describe('the estimate is within 15 % of what training takes', () => {
  it.each<[string, Record<string, unknown> | null, Shape, FloatDType, FloatDType?]>([
    ['plain T5', null, { ...FEW, input: 20, target: 30 }, 'f32'],
    ['HINT, many tasks', MODULES, MANY, 'f32'],
    ['HINT, many tasks, bf16', MODULES, MANY, 'bf16'],
    ['HINT, many tasks, weights of bf16 too', MODULES, MANY, 'bf16', 'bf16'],
    ['HINT, wide adapters', { adapter_size: 48 }, MANY, 'f32'],
    ['HINT, few tasks', MODULES, FEW, 'f32'],
    ['HINT, long instructions', { adapter_size: 4, prefix_length: 4 }, { ...MANY, instruction: 80 }, 'f32'],
    ['LoRA with fusion', { lora_ranks: [8, 4, 8, 4] }, MANY, 'f32'],
    ['a decoder generator', { generator: 'decoder', prefix_length: 8 }, { ...MANY, tasks: 8 }, 'f32'],
    ['learned PEFT', { ...MODULES, generator: 'static', instruction_fusion: false }, FEW, 'f32'],
  ])('%s', async (_, hint, shape, dtype, weights) => {
    using device = new Device({ threads: 1 });
    const { trainer, plan } = hintSetup(device, hint, shape, dtype, weights);
    const { state, modes } = await plan(UNLIMITED);
    expect(modes).toHaveLength(hint === null || hint['generator'] === 'static' ? 2 : 4);
    for (const { mode, activations } of modes) {
      const peak = await peakOf(device, trainer(mode));
      const estimate = state.total + activations.peak;
      expect(Math.abs(estimate / peak - 1), `${mode}: ${estimate} for ${peak}`).toBeLessThan(0.15);
      // State is as much as activations or more only where there are few: it must not hide an error in these.
      const passing = peak - state.total;
      expect(Math.abs(activations.peak / passing - 1), `${mode}: activations`).toBeLessThan(0.15);
    }
  });

  it.each<[string, T5Variant, Record<string, unknown> | null]>([
    ['T5 v1.0', V1_0, null],
    ['T5 v1.0 with HINT', V1_0, MODULES],
    ['umT5', { ...V1_0, modelType: 'umt5', activation: 'gelu', gated: true, tiedHead: false }, MODULES],
  ])('%s', async (_, variant, hint) => {
    using device = new Device({ threads: 1 });
    const config = { ...tinyConfig(hint, SIZE), variant };
    const model = buildModel(device, config, initialiseParameters(device, config, 1));
    const { trainer, plan } = setUp(model, pool(hint ? FEW : { ...FEW, instruction: 0 }));
    const { state, modes } = await plan(UNLIMITED);
    for (const { mode, activations } of modes) {
      const passing = (await peakOf(device, trainer(mode))) - state.total;
      expect(Math.abs(activations.peak / passing - 1), `${mode}: activations`).toBeLessThan(0.15);
    }
  });

  it('GPT-2', async () => {
    using device = new Device({ threads: 1 });
    const config = parseDecoderOnlyConfig({
      model_type: 'gpt2',
      vocab_size: 200,
      n_embd: 64,
      n_layer: 3,
      n_head: 4,
      n_positions: 128,
      bos_token_id: 1,
      eos_token_id: 1,
    });
    const model = await initialiseDecoderOnlyModel(device, config, 1);
    const { trainer, plan } = setUp(model, pool(FEW));
    const { state, modes } = await plan(UNLIMITED);
    expect(modes.map(({ mode }) => mode)).toEqual(['none', 'layers']);
    for (const { mode, activations } of modes) {
      const peak = await peakOf(device, trainer(mode));
      expect(Math.abs((state.total + activations.peak) / peak - 1), mode).toBeLessThan(0.15);
    }
  });
});

describe('a budget chooses', () => {
  it('the next mode just below what one takes, and training stays within it', async () => {
    const measured: [BackwardPlan, number][] = [];
    const plans: MemoryPlan[] = [];
    {
      using device = new Device({ threads: 1 });
      const { trainer, plan } = hintSetup(device, MODULES, MANY);
      const { modes } = await plan(UNLIMITED);
      for (const { mode } of modes) {
        const peak = await peakOf(device, trainer(mode));
        measured.push([mode, peak]);
        if (mode !== modes.at(-1)?.mode) plans.push(await plan(peak - 1));
      }
    }
    expect(measured.map(([mode]) => mode)).toEqual(['none', 'layers', 'modules', 'both']);
    const peaks = measured.map(([, peak]) => peak);
    expect(peaks).toEqual([...peaks].sort((a, b) => b - a));
    for (const [i, { mode, budget }] of plans.entries()) {
      expect(mode).toBe(measured[i + 1]?.[0]);
      // The limit makes whatever would not fit fail.
      using device = new Device({ threads: 1, memoryLimit: budget });
      const limited = hintSetup(device, MODULES, MANY);
      expect(await peakOf(device, limited.trainer(mode))).toBeLessThan(budget);
    }
  });

  it('smaller microbatches before work that runs again, down to a quarter, and what runs again below that', async () => {
    using device = new Device({ threads: 1 });
    const { plan } = hintSetup(device, MODULES, {
      tasks: 60,
      perTask: 2,
      instruction: 40,
      input: 30,
      target: 10,
    });
    const kept = async (tokenBudget: number): Promise<number> =>
      (await plan(UNLIMITED, tokenBudget)).modes[0]?.required as number;
    const [whole, most, least] = [await kept(8192), await kept(7168), await kept(2048)];
    expect(await plan(whole, 8192)).toMatchObject({ mode: 'none', tokenBudget: 8192 });
    expect(await plan(whole - 1, 8192)).toMatchObject({ mode: 'none', tokenBudget: 7168 });
    expect(await plan(most - 1, 8192)).toMatchObject({ mode: 'none', tokenBudget: 6144 });
    expect(await plan(least, 8192)).toMatchObject({
      ...{ mode: 'none', tokenBudget: 2048 },
      reason: expect.stringMatching(/^Everything is kept .*: microbatches of at most 2048 tokens take about/),
    });
    const again = await plan(least - 1, 8192);
    expect(again.mode).not.toBe('none');
    expect(again.tokenBudget).toBe(8192);
    // What does not fit microbatches of the size that was asked for, however much runs again, may fit smaller ones.
    const leanest = (tokens: number): Promise<number> =>
      plan(UNLIMITED, tokens).then(({ modes }) => Math.min(...modes.map(({ required }) => required)));
    const [lean, leaner] = [await leanest(8192), await leanest(7168)];
    expect(leaner).toBeLessThan(lean);
    expect((await plan(lean - 1, 8192)).tokenBudget).toBeLessThan(8192);
    await expect(plan((await leanest(2048)) - 1, 8192)).rejects.toThrow(/set a smaller tokenBudget/);
    // Below 2,048 tokens a microbatch is not made smaller.
    expect((await plan((await kept(2300)) - 1, 2300)).mode).not.toBe('none');
  });

  const input = {
    state: { parameters: 600, copies: 0, gradients: 300, moments: 100, total: 1000 },
    batches: [{ tasks: 2, instruction: 9, input: 50, target: 20, repeatedInstruction: 20 }],
    tokenBudget: 80,
    activationMemory: (_: unknown, backward: BackwardPlan) => {
      const peak = (runsLayersAgain(backward) ? 300 : 1000) - (makesModulesAgain(backward) ? 200 : 0);
      return { layers: peak, modules: 0, generators: 0, passing: 0, peak };
    },
    costOfRunningAgain: () => ({ layers: 20, modules: 10 }),
  };

  it('what runs least again, by what it costs', () => {
    const chosenFor = (budget: number): BackwardPlan => planMemory({ ...input, budget }).mode;
    expect(chosenFor(1000 + MARGIN * 1000)).toBe('none');
    expect(chosenFor(1000 + MARGIN * 1000 - 1)).toBe('modules');
    expect(chosenFor(1000 + MARGIN * 800 - 1)).toBe('layers');
    expect(chosenFor(1000 + MARGIN * 300 - 1)).toBe('both');
    const layersFirst = { ...input, costOfRunningAgain: () => ({ layers: 10, modules: 20 }) };
    expect(planMemory({ ...layersFirst, budget: 2099 }).mode).toBe('layers');
    const onlyLayers = { ...input, costOfRunningAgain: () => ({ layers: 10, modules: 0 }) };
    expect(planMemory({ ...onlyLayers, budget: 2099 }).modes.map(({ mode }) => mode)).toEqual([
      'none',
      'layers',
    ]);
  });

  it('nothing where nothing fits, and says what to change', () => {
    expect(() => planMemory({ ...input, budget: 1055 })).toThrow(
      /needs 1\.08 KiB with everything run again.*budget is 1\.03 KiB: set a smaller tokenBudget \(about 39 instead of 80\)/,
    );
    expect(() => planMemory({ ...input, budget: 900 })).toThrow(/no tokenBudget helps/);
  });
});

describe('a run', () => {
  const many = { batchSize: 16, tokenBudget: 600, steps: 2, saveEvery: 1 };

  it('trains as its budget wants, says so, and goes on the same way with another budget', async () => {
    const free = join(scratch, 'free');
    const events: TrainingEvent[] = [];
    await trainFromConfig(tinyRun(free, many), { onEvent: (event) => events.push(event) });
    const planned = JSON.parse(await readFile(join(free, 'memory.json'), 'utf8')) as MemoryPlan;
    expect(planned.mode).toBe('none');
    expect(events.find(({ kind }) => kind === 'memory')).toMatchObject({
      plan: {
        mode: 'none',
        reason: expect.stringMatching(
          /^Everything is kept for the backward pass: microbatches of at most 600 tokens take about/,
        ),
      },
    });
    const memoryBudget = (planned.modes[0]?.required as number) - 1;
    const second = planned.modes[1]?.mode as BackwardPlan;
    const tight = join(scratch, 'tight');
    const summary = await trainFromConfig(tinyRun(tight, { ...many, memoryBudget }));
    expect(summary).toMatchObject({ status: 'finished', recompute: second });
    expect((await new RunDirectory(tight).readConfig()).recompute).toBe(second);
    const resumed = await trainFromConfig(tinyRun(tight, { ...many, steps: 3 }), { resume: true });
    expect(resumed).toMatchObject({ step: 3, recompute: second });
    const told = await trainFromConfig(tinyRun(tight, { ...many, steps: 4, recompute: false }), {
      resume: true,
    });
    expect(told.recompute).toBe('none');
  });

  it('that cannot fit ends before its first step, naming what it needs and what to change', async () => {
    const before = JSON.parse(await readFile(join(scratch, 'free', 'memory.json'), 'utf8')) as MemoryPlan;
    const leanest = Math.min(...before.modes.map(({ required }) => required));
    for (const [memoryBudget, next] of [
      [
        leanest - 1,
        /needs .* MiB with everything run again.* set a smaller tokenBudget \(about \d+ instead of 600\)/,
      ],
      [before.state.total - 1, /no tokenBudget helps/],
    ] as const) {
      const output = join(scratch, `never-${memoryBudget}`);
      await expect(trainFromConfig(tinyRun(output, { ...many, memoryBudget }))).rejects.toMatchObject({
        code: 'OUT_OF_MEMORY',
        message: expect.stringMatching(next),
      });
    }
  });
});
