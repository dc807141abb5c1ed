import { copyFile, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  buildBatch,
  Engine,
  evaluateModel,
  generateTokens,
  HintError,
  openModel,
  openSafetensors,
  ParameterStore,
  registerFamily,
  saveModel,
  scoreChoices,
  Tokenizer,
  type AnyModel,
  type CompiledTasks,
  type DecodeNetwork,
  type Family,
  type Ragged,
  type RaggedBatch,
} from '../../src/index.js';
import { Device, ops, type Tensor } from '../../src/tensor/index.js';
import { removeAll, TOKENIZER } from './models.js';

const WIDTH = 8;
const EOS = 1;

/** Each token predicts the next one; the mean of the instruction's rows is added to what it is predicted from. */
class Bigram implements AnyModel {
  constructor(
    readonly device: Device,
    readonly config: { vocabSize: number; eosTokenId: number },
    readonly parameters: ParameterStore,
  ) {}

  get table(): Tensor {
    return this.parameters.get('tokens');
  }

  integers(values: ArrayLike<number>): Tensor {
    return this.device.tensor(Int32Array.from(values), [values.length]);
  }

  hidden(tokens: Tensor, context: Tensor): Tensor {
    return ops.add(ops.embedding(tokens, this.table), context);
  }

  means({ ids, offsets }: Ragged): Tensor {
    return ops.segmentMean(ops.embedding(this.integers(ids), this.table), offsets);
  }

  *losses(pairs: { from: number; to: number; task: number }[], means: Tensor) {
    yield;
    const context = ops.embedding(this.integers(pairs.map(({ task }) => task)), means);
    const hidden = this.hidden(this.integers(pairs.map(({ from }) => from)), context);
    return ops.crossEntropy(hidden, this.table, this.integers(pairs.map(({ to }) => to)));
  }

  *loss({ instructions, inputs, targets, taskIndex }: RaggedBatch) {
    const pairs = [...taskIndex].flatMap((task, i) =>
      transitions(sequence(inputs, i), sequence(targets, i), task),
    );
    return yield* this.losses(pairs, this.means(instructions));
  }

  activationMemory() {
    return { layers: 0, modules: 0, generators: 0, passing: 0, peak: 0 };
  }

  costOfRunningAgain() {
    return { layers: 0, modules: 0 };
  }

  configFile() {
    return { model_type: 'bigram', vocab_size: this.config.vocabSize };
  }

  storedTensors() {
    return [{ name: 'tokens', shape: this.table.shape, read: () => this.parameters.read('tokens') }];
  }

  dispose() {
    this.parameters.dispose();
  }
}

interface BigramTasks extends CompiledTasks {
  means: Tensor | undefined;
}

function sequence({ ids, offsets }: Ragged, i: number): Int32Array {
  return ids.subarray(offsets[i], offsets[i + 1]);
}

function transitions(input: Int32Array, target: Int32Array, task: number) {
  return [...target].map((to, at) => ({
    from: (at === 0 ? input.at(-1) : target[at - 1]) as number,
    to,
    task,
  }));
}

function make(device: Device, vocabSize: number, values: Float32Array): Bigram {
  const tokens = device.keep(device.tensor(values, [vocabSize, WIDTH]));
  return new Bigram(
    device,
    { vocabSize, eosTokenId: EOS },
    new ParameterStore(new Map([['tokens', tokens]])),
  );
}

const bigram: Family<Bigram, BigramTasks> = {
  name: 'bigram',
  title: 'a bigram model',
  recognises: (config) => (config as { model_type?: unknown }).model_type === 'bigram',
  owns: (model): model is Bigram => model instanceof Bigram,
  checkConfig: () => undefined,
  async open(device, directory) {
    await using file = await openSafetensors(directory);
    const bytes = Uint8Array.from(await file.read('tokens'));
    return make(device, file.tensors.get('tokens')?.shape[0] ?? 0, new Float32Array(bytes.buffer));
  },
  start: () => Promise.reject(new Error('Bigrams are counted, not trained.')),
  prompts: () => ({ formats: ['causal'], reader: 'which is a bigram (causal)' }),
  readsInstruction: () => true,
  systemOf: () => 'gpt2',
  compile(model, instructions) {
    const { device } = model;
    const count = instructions.offsets.length - 1;
    const means = device.tidy(() => (count > 0 ? device.keep(model.means(instructions)) : undefined));
    const tensors = means ? [means] : [];
    const instructionTokens = instructions.ids.length;
    return Promise.resolve({
      means,
      tensors,
      bytes: 4 * WIDTH * count,
      instructionTokens,
      prompts: instructions,
    });
  },
  openNetwork(model, { means }, inputs, taskIndex): Promise<DecodeNetwork> {
    const { device } = model;
    return Promise.resolve({
      device,
      eosTokenId: EOS,
      cacheLayers: 0,
      cacheWidth: WIDTH,
      cacheDType: 'f32',
      startToken: (row) => sequence(inputs, row).at(-1) as number,
      room: () => Infinity,
      begin(rows) {
        const tasks = model.integers(rows.map((row) => taskIndex[row] as number));
        const context = device.tidy(() =>
          device.keep(means ? ops.embedding(tasks, means) : device.full([rows.length, WIDTH], 0)),
        );
        return {
          *logits({ token }) {
            yield;
            return ops.linear(model.hidden(token, context), model.table, { outputDType: 'f32' });
          },
          dispose: () => context.dispose(),
        };
      },
      dispose: () => undefined,
    });
  },
  *choiceLosses(model, { means }, { inputs, choices, taskOf }) {
    const pairs = inputs.flatMap((input, i) =>
      (choices[i] ?? []).flatMap((choice) => transitions(input, choice, means ? (taskOf[i] as number) : 0)),
    );
    return (yield* model.losses(pairs, means ?? model.device.full([1, WIDTH], 0))).loss;
  },
  multiplyAdds: ({ config }, _instructions, examples) =>
    examples.reduce((total, { output }) => total + output * WIDTH * config.vocabSize, 0),
};

let device: Device;
let tokenizer: Tokenizer;
let model: Bigram;
let directory: string;
const instructions = [Int32Array.of(5, 9, 4), Int32Array.of(17, 30)];
const inputs = [Int32Array.of(12, 40), Int32Array.of(8), Int32Array.of(12, 40), Int32Array.of(33, 7)];
const taskIndex = [0, 1, 1, 0];

beforeAll(async () => {
  registerFamily(bigram);
  device = new Device({ threads: 1 });
  tokenizer = await Tokenizer.load(TOKENIZER);
  const values = Float32Array.from({ length: tokenizer.vocabSize * WIDTH }, (_, i) => Math.sin(i * i + 1));
  model = make(device, tokenizer.vocabSize, values);
  directory = await mkdtemp(join(tmpdir(), 'hint-family-'));
  await saveModel(model, directory);
  await copyFile(TOKENIZER, join(directory, 'tokenizer.json'));
});

afterAll(async () => {
  device.close();
  await removeAll([directory]);
});

describe('a family that was registered', () => {
  it('generates what it finds most probable, whatever runs beside it', async () => {
    const generated = await generateTokens(model, { instructions, inputs, taskIndex, maxTokens: 3 });
    const everyToken = Array.from({ length: tokenizer.vocabSize }, (_, id) => Int32Array.of(id));
    const choices = inputs.map(() => everyToken);
    const scored = await scoreChoices(model, { instructions, inputs, taskIndex, choices });
    expect(generated.map(({ tokens }) => tokens[0])).toEqual(scored.map(({ best }) => best));
    // Inputs 0 and 2 are the same, their tasks are not.
    expect(scored[0]?.scores).not.toEqual(scored[2]?.scores);
    const alone = await generateTokens(model, {
      instructions: [instructions[1] as Int32Array],
      inputs: [inputs[2] as Int32Array],
      maxTokens: 3,
    });
    expect(alone[0]).toEqual(generated[2]);
  });

  it('is opened from its directory, compiles, answers requests one by one, and its tasks come back from files', async () => {
    await using engine = await Engine.open(directory, { threads: 1 });
    using task = await engine.compile({ definition: 'Name the colour.' });
    expect(task.instructionTokens).toBe(tokenizer.encode('Definition: Name the colour.').length);
    const [expected] = await task.generate('A red hat.', { maxTokens: 4 });
    expect(await engine.submit({ task, input: 'A red hat.', maxTokens: 4 })).toEqual(expected);
    const path = join(directory, 'task.safetensors');
    await task.save(path);
    using loaded = await engine.loadTask(path);
    expect(await loaded.generate('A red hat.', { maxTokens: 4 })).toEqual([expected]);
    await expect(task.embed('A red hat.')).rejects.toThrow(/models that have an encoder, .* a bigram model/);
    await expect(engine.compile({ definition: 'x', format: 'hint' })).rejects.toThrow(/which is a bigram/);
  });

  it('has no dtype but f32 where it does not say so', async () => {
    await expect(Engine.open(directory, { threads: 1, dtype: 'bf16' })).rejects.toThrow(
      /bigram compute in f32/,
    );
  });

  it('is evaluated', async () => {
    const examples = inputs.map((input, i) => ({
      id: `${i}`,
      task: `task${taskIndex[i]}`,
      instruction: instructions[taskIndex[i] as number] as Int32Array,
      input,
      target: Int32Array.of(EOS),
      references: ['x'],
    }));
    const evaluation = await evaluateModel({ model, tokenizer }, examples, { maxTokens: 3 });
    const generated = await generateTokens(model, { instructions, inputs, taskIndex, maxTokens: 3 });
    expect(evaluation.predictions.map(({ prediction }) => prediction)).toEqual(
      generated.map(({ tokens }) => tokenizer.decodeAnswer(tokens)),
    );
    expect(evaluation.tasksCompiled).toBe(2);
    const tokens = generated.reduce((total, one) => total + one.tokens.length, 0);
    expect(evaluation.flopsPer100).toBe((100 * 2 * tokens * WIDTH * tokenizer.vocabSize) / inputs.length);
    const { loss } = device.now(device.tidied(model.loss(buildBatch(examples))));
    expect(await loss.read()).toHaveLength(inputs.length);
    loss.dispose();
  });

  it.each<[string, object, RegExp]>([
    ['compile', { compile: undefined }, /^family\.compile is missing; give a function/],
    ['prepare', { prepare: 5 }, /^family\.prepare is 5; give a function/],
    ['joint', { joint: { open: () => [] } }, /^family\.joint\.logits is missing/],
    ['embedder', { embedder: {} }, /^family\.embedder\.inputs is missing/],
  ])('is refused when it is registered where its %s is none', (_member, change, message) => {
    expect(() => registerFamily({ ...bigram, name: 'other', ...change } as unknown as Family)).toThrow(
      message,
    );
  });

  it.each<[string, object, RegExp]>([
    ['tasks', { compile: () => Promise.resolve({}) }, /^given1\.compile\(…\)\.tensors is missing/],
    [
      'network',
      { openNetwork: () => Promise.resolve({}) },
      /^given2\.openNetwork\(…\)\.eosTokenId is missing/,
    ],
    ['slices', { choiceLosses: () => 5 }, /^given3\.choiceLosses\(…\) is 5; give what a generator function/],
    ['count', { multiplyAdds: () => NaN }, /^given4\.multiplyAdds\(…\) is NaN; give a finite number/],
    ['formats', { prompts: () => ({ reader: 'x' }) }, /^given5\.prompts\(…\)\.formats is missing/],
    [
      'model of its own',
      { open: () => Promise.resolve({}) },
      /^given6\.open\(…\) is .*; give a model for which given6\.owns/,
    ],
  ])('is named, with the member that gives no %s', async (_what, change, message) => {
    class Own extends Bigram {}
    const name = message.source.slice(1, 7);
    registerFamily({
      ...bigram,
      recognises: (config) => (config as { model_type?: unknown }).model_type === name,
      owns: (value): value is Bigram => value instanceof Own,
      ...change,
      name,
    });
    const own = new Own(device, model.config, model.parameters);
    const folder = await mkdtemp(join(directory, 'own-'));
    await saveModel(own, folder);
    await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: name }));
    const work = async (): Promise<void> => {
      await scoreChoices(own, { instructions, inputs, taskIndex, choices: inputs.map(() => inputs) });
      const examples = inputs.map((input, i) => ({
        id: `${i}`,
        task: 'one',
        instruction: new Int32Array(0),
        input,
        target: input,
        references: ['x'],
      }));
      await evaluateModel({ model: own, tokenizer }, examples, { maxTokens: 1 });
      await new Engine(own, tokenizer).compile({ definition: 'x' });
      await openModel(device, folder);
    };
    await expect(work()).rejects.toThrow(message);
  });

  it('is a class as well as an object of functions', async () => {
    class Counting extends Bigram {}
    class Named {
      private readonly called = 'classy';
      readonly title = 'a bigram model';
      get name(): string {
        return this.called;
      }
      owns(value: unknown): value is Bigram {
        return value instanceof Counting && this.called === 'classy';
      }
    }
    const own = ['name', 'title', 'owns'];
    const rest = Object.fromEntries(Object.entries(bigram).filter(([member]) => !own.includes(member)));
    registerFamily(Object.assign(new Named(), { ...rest, recognises: () => false }) as unknown as Family);
    const counting = new Counting(device, model.config, model.parameters);
    expect(await generateTokens(counting, { inputs, maxTokens: 2 })).toHaveLength(inputs.length);
  });

  it('that nobody registered is what the error speaks of', async () => {
    const folder = await mkdtemp(join(directory, 'stray-'));
    await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'stray' }));
    await expect(openModel(device, folder)).rejects.toThrow(/model_type "stray"; call registerFamily/);
    await expect(generateTokens({} as AnyModel, { inputs })).rejects.toThrow(/after registerFamily/);
  });

  it('has a name of its own', () => {
    expect(() => registerFamily({ ...bigram, name: 'gpt2' })).toThrow(HintError);
    expect(() => registerFamily(bigram)).toThrow(/family "bigram" already/);
  });
});
