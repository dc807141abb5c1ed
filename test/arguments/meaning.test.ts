import { describe, expect, it } from 'vitest';
import * as api from '../../src/index.js';
import { directories, engine, first, foreign, nowhere, task, tokenizer } from './calls.js';

describe('inputs of a task', () => {
  it('given as one text are one input, never its characters', async () => {
    const [alone] = await task.generate(['A red dog.'], { maxTokens: 3 });
    expect(await task.generate('A red dog.', { maxTokens: 3 })).toEqual([alone]);
    expect(await task.embed('A red dog.')).toEqual(await task.embed(['A red dog.']));
    expect(await task.scoreChoices('A red dog.', ['yes', 'no'])).toHaveLength(1);
    const ids = tokenizer.encode('A red dog.');
    expect(await task.generate(ids, { maxTokens: 3 })).toEqual([alone]);
    await expect(task.scoreChoices('A red dog.', 'yes' as never)).rejects.toThrow(
      /choices is "yes"; give a list/,
    );
  });
});

describe('a task of another engine', () => {
  const refused = { code: 'INVALID_ARGUMENT', message: expect.stringContaining('another engine') as string };

  it('is refused instead of being answered from the wrong weights', async () => {
    await expect(engine.submit({ task: foreign, input: 'A dog.' })).rejects.toMatchObject(refused);
    await expect(
      engine.generate([
        { task, input: 'A dog.' },
        { task: foreign, input: 'A dog.' },
      ]),
    ).rejects.toMatchObject(refused);
    const fake = Object.create(api.Task.prototype) as api.Task;
    await expect(engine.submit({ task: fake, input: 'A dog.' })).rejects.toMatchObject(refused);
  });

  it('that was disposed, or whose engine was closed, is refused by everything', async () => {
    const closed = await api.Engine.open(directories[0]!, { threads: 1 });
    const orphan = await closed.compile({ definition: 'Count.' });
    const kept = await closed.tasks.get({ definition: 'Count.' });
    await closed.close();
    const disposed = await engine.compile({ definition: 'Count.' });
    disposed.dispose();
    for (const one of [orphan, kept, disposed]) {
      for (const used of [
        () => one.generate('A dog.'),
        () => first(one.stream('A dog.')),
        () => one.embed('A dog.'),
        () => one.embedInstruction(),
        () => one.scoreChoices('A dog.', ['a']),
        () => one.save(nowhere),
        () => (one === disposed ? engine : closed).submit({ task: one, input: 'A dog.' }),
      ])
        await expect(used()).rejects.toMatchObject({
          code: 'INVALID_ARGUMENT',
          message: expect.stringMatching(/closed|disposed/) as string,
        });
    }
    for (const used of [
      () => closed.compile({ definition: 'Count.' }),
      () => closed.compileTokens(Int32Array.of(5, 1)),
      () => closed.tasks.get({ definition: 'Count.' }),
      () => closed.generate([]),
      () => closed.fingerprint(),
    ])
      await expect(used()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('a message about an argument', () => {
  it.each([
    ['a slip of the hand', { maxToken: 5 }, 'options.maxToken is unknown; did you mean maxTokens?'],
    ['a number as text', { maxTokens: '5' }, 'options.maxTokens is "5"; give an integer from 1 to 1048576.'],
    ['no number', { temperature: NaN }, 'options.temperature is NaN; give a finite number of at least 0.'],
    ['escapes for a terminal', { decode: '\u001b[2J\u202e' }, 'options.decode is "\\u001b[2J\\u202e"; give'],
    ['a hole in a list', { stop: new Array(1) }, 'options.stop[0] is missing; give a text.'],
    [
      'something like a signal',
      { signal: { aborted: false } },
      'options.signal is {"aborted": false}; give an AbortSignal',
    ],
    ['a long text', { decode: 'x'.repeat(1e6) }, `options.decode is "${'x'.repeat(60)}…"; give`],
  ])('names %s, what is allowed and where', async (_, options, message) => {
    await expect(task.generate('A dog.', options as never)).rejects.toThrow(message);
  });

  it('says the number of bytes where text with units is given to a function', async () => {
    await expect(api.Engine.open(nowhere, { memoryLimit: '8GiB' as never })).rejects.toThrow(
      'options.memoryLimit is "8GiB"; give the number of bytes, 8589934592.',
    );
    await expect(api.Engine.open(nowhere, { taskCache: { maxBytes: '1 MB' as never } })).rejects.toThrow(
      'options.taskCache.maxBytes is "1 MB"; give the number of bytes, 1000000.',
    );
  });

  it.each(['', 'a\0b', '\ud800'])(
    'refuses the path %j, which the system would read as another',
    async (path) => {
      await expect(api.Engine.open(path)).rejects.toThrow(/^directory is ".*"; give a path/);
      await expect(task.save(path)).rejects.toThrow(/^path is ".*"; give a path/);
    },
  );
});

describe('data that hold more than is read', () => {
  it('are examples of an instruction all the same, and the same task', async () => {
    const examples = [{ input: 'A', output: 'B', explanation: 'The next letter.' }];
    const plain = await engine.tasks.get({ definition: 'Next.', examples: [{ input: 'A', output: 'B' }] });
    const { misses } = engine.tasks.metrics;
    const wide = await engine.tasks.get({ definition: 'Next.', examples });
    expect(engine.tasks.metrics.misses).toBe(misses);
    expect(wide.origin?.examples).toEqual([{ input: 'A', output: 'B' }]);
    for (const one of [plain, wide]) one.dispose();
  });
});

describe('examples without choices', () => {
  it('need a tokenizer, which is said before anything is ranked', async () => {
    const { model } = engine;
    const ids = Int32Array.of(5, 1);
    const example = { id: '1', task: 'a', instruction: ids, input: ids, target: ids, references: ['a'] };
    const ranked = { ...example, id: '2', choices: [{ text: 'a', ids }] };
    const templates = new Map();
    const evaluation = await api.evaluateP3({ model }, { examples: [ranked], templates });
    expect(evaluation.predictions).toHaveLength(1);
    await expect(api.evaluateP3({ model }, { examples: [ranked, example], templates })).rejects.toThrow(
      /evaluated\.tokenizer is missing; give a Tokenizer/,
    );
  });
});
