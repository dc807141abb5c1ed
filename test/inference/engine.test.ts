import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { Engine } from '../../src/inference/engine.js';
import type { Task } from '../../src/inference/task/task.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, GREEDY_MODEL, removeAll, tinyConfig, TOKENIZER, writeModel } from './models.js';

const directories: string[] = [];
let hint: Engine;
let plain: Engine;

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)), await writeModel(tinyConfig(null)));
  hint = await Engine.open(directories[0] as string, { threads: 2 });
  plain = await Engine.open(directories[1] as string, { threads: 2 });
});

afterAll(async () => {
  await hint.close();
  await plain.close();
  await removeAll(directories);
});

const definition = 'Answer with the name of the animal in the sentence.';
const examples = [
  { input: 'The cat sleeps.', output: 'cat' },
  { input: 'A dog barked at me', output: 'dog' },
];
const sentences = Array.from(
  { length: 24 },
  (_, i) => `Sentence number ${i} is about ${['a horse', 'two birds', 'fish'][i % 3]}.`,
);

describe('a compiled task', () => {
  it('reads its instruction once, however many inputs it runs', async () => {
    using task = await hint.compile({ definition, examples });
    const compiled = (hint.model as EncoderDecoderModel).hypernetwork?.encodedTasks;
    const inputs = Array.from({ length: 1000 }, (_, i) => `Input ${i}`);
    const results = await task.generate(inputs, { maxTokens: 2 });
    expect(results).toHaveLength(1000);
    expect((hint.model as EncoderDecoderModel).hypernetwork?.encodedTasks).toBe(compiled);
    expect(compiled).toBe(1);
  });

  it.each([
    ['of a HINT', () => hint],
    ['of a plain T5', () => plain],
  ])('%s gives each input what it gives it alone', async (_, engine) => {
    using task = await engine().compile({ definition, examples });
    const together = await task.generate(sentences, { maxTokens: 12, batchSize: 7 });
    for (const [i, sentence] of sentences.entries()) {
      expect((await task.generate([sentence], { maxTokens: 12 }))[0]).toEqual(together[i]);
    }
  });

  it('tokens in, tokens out: the same as text in', async () => {
    const tokenizer = await Tokenizer.load(TOKENIZER);
    using fromText = await hint.compile({ definition });
    using fromTokens = await hint.compileTokens(tokenizer.encode(definition));
    const texts = await fromText.generate(sentences, { maxTokens: 6 });
    const ids = sentences.map((sentence) => tokenizer.encode(sentence));
    expect(await fromTokens.generate(ids, { maxTokens: 6 })).toEqual(texts);
    expect(texts.map(({ text }) => text)).toEqual(texts.map(({ tokens }) => tokenizer.decodeAnswer(tokens)));
  });

  it('a plain T5 reads the Tk-Instruct text, every time', async () => {
    const tokenizer = await Tokenizer.load(TOKENIZER);
    using task = await plain.compile({ definition });
    using bare = await plain.compile({ definition: '', format: 'no-instruct' });
    const source = `Definition: ${definition}\n\nNow complete the following example -\nInput: A cow.\nOutput:`;
    const [expected] = await bare.generate([tokenizer.encode(source)], { maxTokens: 8 });
    expect((await task.generate(['A cow.'], { maxTokens: 8 }))[0]).toEqual(expected);
  });

  it('a plain T5 puts an instruction of token ids in front of token ids', async () => {
    using task = await plain.compileTokens(Int32Array.of(50, 60, 1));
    using bare = await plain.compile({ definition: '', format: 'no-instruct' });
    const expected = await bare.generate([Int32Array.of(50, 60, 70, 1)], { maxTokens: 8 });
    expect(await task.generate([Int32Array.of(70, 1)], { maxTokens: 8 })).toEqual(expected);
  });

  it('leaves the event loop turning while it generates', async () => {
    using task = await hint.compile({ definition });
    let turns = 0;
    let turnsAtHalf: number | undefined;
    const timer = setInterval(() => turns++, 0);
    await task.generate([...sentences, ...sentences], {
      maxTokens: 200,
      batchSize: 8,
      onProgress: (done, total) => (turnsAtHalf ??= done * 2 >= total ? turns : undefined),
    });
    clearInterval(timer);
    // A loop that waits for the native thread would let no timer through until the end.
    expect(turnsAtHalf).toBeGreaterThan(3);
    expect(turns).toBeGreaterThan(turnsAtHalf as number);
  });

  it('can be used by several callers at once', async () => {
    using task = await hint.compile({ definition });
    const [a, b] = await Promise.all([
      task.generate(sentences, { maxTokens: 20 }),
      task.generate([...sentences].reverse(), { maxTokens: 20 }),
    ]);
    expect(b.reverse()).toEqual(a);
  });
});

describe('an engine', () => {
  it('works on a model that somebody else loaded, and leaves it open', async () => {
    using device = new Device({ threads: 1 });
    const model = await loadModel(device, GREEDY_MODEL);
    const engine = new Engine(model);
    using task = await engine.compileTokens(Int32Array.of(82, 4, 126, 1));
    const inputs = [Int32Array.of(5, 6, 1)];
    const before = await task.generate(inputs);
    await engine.close();
    await expect(task.generate(inputs)).rejects.toThrow(/closed/);
    using again = await new Engine(model).compileTokens(Int32Array.of(82, 4, 126, 1));
    expect(await again.generate(inputs)).toEqual(before);
  });

  it('closing ends what runs with an error instead of leaving it waiting for ever', async () => {
    const engine = await Engine.open(directories[0] as string, { threads: 1 });
    const task = await engine.compile({ definition });
    const work = task.generate(sentences, { maxTokens: 4096 });
    const settled = expect(work).rejects.toMatchObject({ code: 'ABORTED' });
    await engine.close();
    await settled;
    await expect(engine.compile({ definition })).rejects.toThrow(/closed/);
  });

  it('an aborted compile or generate says ABORTED', async () => {
    const signal = AbortSignal.abort();
    await expect(Engine.open(directories[0] as string, { signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await expect(hint.compile({ definition, signal })).rejects.toMatchObject({ code: 'ABORTED' });
    using task = await hint.compile({ definition });
    await expect(task.generate(sentences, { signal })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('bad input', () => {
  let task: Task;
  beforeAll(async () => (task = await hint.compile({ definition })));

  it.each<[string, () => Promise<unknown>, string, RegExp]>([
    ['an empty definition', () => hint.compile({ definition: ' \n' }), 'INVALID_DATA', /definition is empty/],
    [
      '5,000 tokens of instruction',
      () => hint.compile({ definition: 'word '.repeat(5000) }),
      'INVALID_ARGUMENT',
      /has \d+ tokens, the limit is 1024/,
    ],
    [
      '5,000 tokens of instruction to a plain T5',
      () => plain.compile({ definition: 'word '.repeat(5000) }),
      'INVALID_ARGUMENT',
      /limit is 1024/,
    ],
    ['no instruction tokens', () => hint.compileTokens(new Int32Array()), 'INVALID_DATA', /no token/],
    [
      'instruction tokens outside the vocabulary',
      () => hint.compileTokens(Int32Array.of(8128, 1)),
      'INVALID_TOKEN',
      /8128/,
    ],
    [
      'a format of another kind of model',
      () => hint.compile({ definition, format: 'tk-instruct' }),
      'INVALID_ARGUMENT',
      /tk-instruct/,
    ],
    [
      'a hint format for a plain T5',
      () => plain.compile({ definition, format: 'hint' }),
      'INVALID_ARGUMENT',
      /no hypernetwork/,
    ],
    ['an empty input', () => task.generate(['fine', '  ']), 'INVALID_DATA', /number 1 is empty/],
    ['too long an input', () => task.generate(['word '.repeat(3000)]), 'INVALID_ARGUMENT', /limit is 1024/],
    [
      'an input without tokens',
      () => task.generate([new Int32Array()]),
      'INVALID_DATA',
      /number 0 has no token/,
    ],
    ['an input outside the vocabulary', () => task.generate([Int32Array.of(-1)]), 'INVALID_TOKEN', /-1/],
    ['a missing directory', () => Engine.open('/nowhere'), 'NOT_FOUND', /nowhere/],
    [
      'a tokenizer that is not the model’s',
      () => Engine.open(GREEDY_MODEL, { tokenizer: TOKENIZER }),
      'INVALID_ARGUMENT',
      /model embeds 200/,
    ],
  ])('%s is a clear error', async (_, act, code, message) => {
    await expect(act()).rejects.toThrow(message);
    await expect(act()).rejects.toMatchObject({ code });
  });

  it('an input too long for a plain T5 and its instruction together is refused, not cut', async () => {
    using long = await plain.compile({ definition });
    await expect(long.generate(['word '.repeat(3000)])).rejects.toThrow(/together, the limit is 1024/);
  });

  it('token ids cannot be put into a text format', async () => {
    using text = await plain.compile({ definition });
    await expect(text.generate([Int32Array.of(5, 1)])).rejects.toThrow(/inputs as strings/);
  });

  it('text without a tokenizer says where to put one', async () => {
    const engine = await Engine.open(GREEDY_MODEL, { threads: 1 });
    await expect(engine.compile({ definition })).rejects.toThrow(/tokenizer.json/);
    await engine.close();
  });

  it('a disposed task cannot be used', async () => {
    const short = await hint.compile({ definition });
    short.dispose();
    await expect(short.generate(['x'])).rejects.toThrow(/disposed/);
  });
});
