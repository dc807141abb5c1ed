import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Engine, type EngineRequest, type Task } from '../../src/index.js';
import { ConstrainedRows } from '../../src/inference/constrain/constrained-rows.js';
import { GrammarThread } from '../../src/inference/constrain/grammar-thread.js';
import { eventually } from '../eventually.js';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

/** What takes longer to compile than any limit here. */
const SLOW = { regex: '((([a-z]{1,40}){1,40}){1,40}){1,40}' };
/** Takes longer than 4 s, however fast the machine. */
const SLOWEST = '((([a-z]{1,120}){1,120}){1,120}){1,120}';

const directories: string[] = [];
const inputs = ['A horse and two birds.', 'A cow.', 'Three cats sleep under the tree.'];
const jsonSchema = {
  type: 'object',
  properties: { kind: { enum: ['cat', 'cow'] }, count: { type: 'integer', minimum: 0, maximum: 99 } },
  required: ['kind', 'count'],
  additionalProperties: false,
};
let engine: Engine;
let tasks: Task[];

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  engine = await Engine.open(directories[0] as string, { threads: 1 });
  tasks = [
    await engine.compile({ definition: 'Name the animal.' }),
    await engine.compile({ definition: 'Count the animals.' }),
  ];
});
afterAll(async () => {
  await engine.close();
  await removeAll(directories);
});

/** Requests of two tasks, constrained in every way and not at all, greedy and drawn, some with log-probabilities and stops. */
function requests(): EngineRequest[] {
  const ways = [
    {},
    { constrain: { choices: ['horse', 'two birds', 'blue cow'] } },
    { constrain: { regex: '(one|two|three)( (one|two|three)){3}' }, logProbs: true },
    { constrain: { jsonSchema } },
    { temperature: 2, seed: 5 },
    { constrain: { regex: '[a-z]{3,9}' }, temperature: 2, seed: 5 },
    { constrain: { regex: '(one|two|three)( (one|two|three)){3}' }, stop: [' '] },
  ];
  return tasks.flatMap((task) =>
    inputs.flatMap((input) => ways.map((way) => ({ task, input, maxTokens: 48, ...way }))),
  );
}

describe('constrained answers in the running batch', () => {
  it('are those of each input alone, and so are the free answers beside them', async () => {
    const list = requests();
    const before = engine.serving.completed;
    const together = await Promise.all(list.map((request) => engine.submit(request)));
    expect(engine.serving.completed - before).toBe(list.length);
    for (const [i, { task, input, ...options }] of list.entries()) {
      const [alone] = await (task as Task).generate(input, options);
      const what = `number ${i}`;
      expect(together[i]?.text, what).toBe(alone?.text);
      expect(together[i]?.tokens, what).toEqual(alone?.tokens);
      expect(together[i]?.finished, what).toBe(alone?.finished);
      expect(together[i]?.logProbs?.length, what).toBe(alone?.logProbs?.length);
    }
    for (const { text } of together.filter((_, i) => list[i]?.constrain?.jsonSchema))
      expect(['cat', 'cow']).toContain((JSON.parse(text) as { kind: string }).kind);
  });

  it('are decoded together with the free ones, and counted', async () => {
    const running = engine.generate(requests().map((one) => ({ ...one, stop: [] })));
    await eventually(() => expect(engine.serving.running).toBeGreaterThan(7));
    await running;
  });

  it('stream from the batch, the text that they have in the end', async () => {
    const [task] = tasks as [Task];
    const before = engine.serving.completed;
    const options = { constrain: { jsonSchema }, maxTokens: 48 };
    const streamed = inputs.map(() => '');
    for await (const { input, text } of task.stream(inputs, options)) streamed[input] += text;
    expect(engine.serving.completed - before).toBe(inputs.length);
    expect(streamed).toEqual((await task.generate(inputs, options)).map(({ text }) => text));
  });

  it('that cannot go on fail alone', async () => {
    const [task] = tasks as [Task];
    const [bad, good, free] = await Promise.allSettled([
      engine.submit({ task, input: 'A cow.', constrain: { regex: 'a(\\{|\\})' } }),
      engine.submit({ task, input: 'A cow.', constrain: { regex: '(yes|no){12}' } }),
      engine.submit({ task, input: 'A cow.', maxTokens: 20 }),
    ]);
    expect(bad).toMatchObject({
      reason: {
        code: 'NOT_SUPPORTED',
        message: expect.stringMatching(/asks for one of "\{", "\}"/) as string,
      },
    });
    expect(good).toMatchObject({
      value: { finished: true, text: expect.stringMatching(/^(yes|no){12}$/) as string },
    });
    expect(free.status).toBe('fulfilled');
  });

  it('leave the batch with their signal, and the rest goes on', async () => {
    const [task] = tasks as [Task];
    const leaving = new AbortController();
    const left = engine.submit({
      ...{ task, input: 'A cow.', maxTokens: 3000, signal: leaving.signal },
      constrain: { regex: '[a-z]{2900}' },
    });
    left.catch(() => undefined);
    await eventually(() => expect(engine.serving.running).toBeGreaterThan(0));
    const other = engine.submit({ task, input: 'A cow.', constrain: { choices: ['red'] } });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await other).text).toBe('red');
  });

  it('that a slow constraint holds up hold up no free answer, and go on when it has failed', async () => {
    const [task] = tasks as [Task];
    const ended: string[] = [];
    const end = async (name: string, work: Promise<unknown>): Promise<unknown> =>
      work.finally(() => ended.push(name));
    const held = end(
      'held',
      engine.submit({ task, input: 'A cow.', maxTokens: 700, constrain: { regex: '[a-z]{600}' } }),
    );
    await eventually(() => expect(engine.serving.running).toBe(1));
    const slow = end('slow', engine.submit({ task, input: 'A cow.', constrain: SLOW }));
    const free = end('free', engine.submit({ task, input: 'A cow.', maxTokens: 8 }));
    const [first, second] = await Promise.allSettled([slow, held, free]);
    expect(first).toMatchObject({ reason: { code: 'INVALID_ARGUMENT', message: expect.stringMatching(/longer than 10 s/) as string } }); // prettier-ignore
    expect(second).toMatchObject({ value: { text: expect.stringMatching(/^[a-z]{600}$/) as string } });
    expect(ended.indexOf('free')).toBeLessThan(ended.indexOf('slow'));
  }, 60_000);
});

describe('a thread of grammars', () => {
  const middle = Array.from('defghijklmnopqrstuvw');
  const triples = middle.flatMap((a) => middle.flatMap((b) => middle.map((c) => a + b + c)));
  const texts = ['', '', '', ...Array.from('abcdefghijklmnopqrstuvwxyz0123456789 '), ...triples];
  const vocabulary = { texts, eosId: 1, unkId: 2, beginsWithSpace: false };
  const regex = (pattern: string) => ({ kind: 'regex' as const, pattern });
  const allowed = (mask: Float32Array): string =>
    [...mask].flatMap((value, id) => (value === 0 ? [texts[id] ?? ''] : [])).join('');

  it('that one constraint holds up fails it alone: answers under way go on where they were, and new ones begin', async () => {
    const thread = new GrammarThread(vocabulary, 4);
    try {
      const rows = await ConstrainedRows.open(thread, vocabulary, regex('ab[0-9]c'), 2, texts.length);
      expect(allowed(await rows.next([0]))).toBe('a');
      for (const letter of ['a', 'b']) {
        rows.chosen(0, texts.indexOf(letter));
        await rows.next([0]);
      }
      rows.chosen(0, texts.indexOf('7'));
      const slow = ConstrainedRows.open(thread, vocabulary, regex(SLOWEST), 1, texts.length);
      const next = rows.next([0, 1]);
      const begun = ConstrainedRows.open(thread, vocabulary, regex('xy'), 1, texts.length);
      await expect(slow).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      const masks = await next;
      expect(allowed(masks.subarray(0, texts.length))).toBe('c');
      expect(allowed(masks.subarray(texts.length))).toBe('a');
      expect(allowed(await (await begun).next([0]))).toBe('x');
      expect(
        rows.text(
          0,
          [...'ab7'].map((letter) => texts.indexOf(letter)),
        ),
      ).toBe('ab7');
    } finally {
      await thread.close();
    }
  }, 60_000);

  it('that has refused many constraints takes the next one, and answers under way notice nothing', async () => {
    const thread = new GrammarThread(vocabulary);
    try {
      const rows = await ConstrainedRows.open(thread, vocabulary, regex('ab[0-9]c'), 1, texts.length);
      expect(allowed(await rows.next([0]))).toBe('a');
      const { generation } = thread;
      for (let i = 0; i < 70; i++)
        await expect(
          ConstrainedRows.open(thread, vocabulary, regex(`${i}(`), 1, texts.length),
        ).rejects.toThrow(/parenthesis is not closed/);
      const next = await ConstrainedRows.open(thread, vocabulary, regex('xy'), 1, texts.length);
      expect(allowed(await next.next([0]))).toBe('x');
      rows.chosen(0, texts.indexOf('a'));
      expect(allowed(await rows.next([0]))).toBe('b');
      expect(thread.generation).toBe(generation);
    } finally {
      await thread.close();
    }
  }, 60_000);

  it('does not begin with slow constraints that were given up while they waited', async () => {
    const thread = new GrammarThread(vocabulary, 3);
    try {
      const leaving = new AbortController();
      const open = (pattern: string, signal?: AbortSignal) =>
        ConstrainedRows.open(thread, vocabulary, regex(pattern), 1, texts.length, signal);
      const slow = Array.from({ length: 12 }, (_, i) => open(`${SLOW.regex}${i}`, leaving.signal));
      const ended = Promise.allSettled(slow);
      const next = open('xy');
      leaving.abort();
      expect(allowed(await (await next).next([0]))).toBe('x');
      const codes = (await ended).map((one) => (one as { reason: { code: string } }).reason.code);
      expect(codes.filter((code) => code === 'ABORTED').length).toBeGreaterThanOrEqual(11);
    } finally {
      await thread.close();
    }
  }, 20_000);

  it('begins an answer again', async () => {
    const thread = new GrammarThread(vocabulary);
    const rows = await ConstrainedRows.open(thread, vocabulary, regex('abc'), 1, texts.length);
    const row = rows.row(0);
    await row.next();
    row.chosen(texts.indexOf('a'));
    expect(allowed(await row.next())).toBe('b');
    row.chosen(texts.indexOf('b'));
    row.restart();
    expect(allowed(await row.next())).toBe('a');
    await thread.close();
    await expect(row.next()).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
