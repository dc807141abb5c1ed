import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import { writeStream } from '../../src/cli/support/stream-output.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { Engine } from '../../src/inference/engine.js';
import { certainLength, GrowingText } from '../../src/inference/task/growing-text.js';
import type { GenerationEvent, Task, TaskGenerateOptions } from '../../src/inference/task/task.js';
import { CounterRng } from '../../src/util/counter-rng.js';
import { FULL_HINT, removeAll, tinyConfig, TOKENIZER, writeModel } from './models.js';

const directories: string[] = [];
let engine: Engine;
let task: Task;
let tokenizer: Tokenizer;

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  engine = await Engine.open(directories[0] as string, { threads: 2 });
  tokenizer = await Tokenizer.load(TOKENIZER);
  task = await engine.compile({ definition: 'Say something.' });
});

afterAll(async () => {
  task.dispose();
  await engine.close();
  await removeAll(directories);
});

const inputs = ['A horse.', 'Two birds and a fish', 'Nothing', 'Some more of it'];

async function collect(
  given: string | readonly string[],
  options: TaskGenerateOptions = {},
): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of task.stream(given as string, options)) events.push(event);
  return events;
}

const textOf = (events: GenerationEvent[], input: number): string =>
  events
    .filter((event) => event.input === input)
    .map(({ text }) => text)
    .join('');

describe('text while tokens come', () => {
  /** Random tokens, most of which glue to their neighbours: word pieces, quotes, punctuation. */
  function tokensOf(seed: number, pool: readonly number[]): number[] {
    const rng = new CounterRng(seed);
    return Array.from({ length: 30 }, () => {
      const any = rng.below(3) === 0;
      return any ? rng.below(tokenizer.vocabSize) : (pool[rng.below(pool.length)] as number);
    }).filter((id) => id !== tokenizer.eosId);
  }

  it('of byte-level tokens is never taken back either, nor shows half a character', async () => {
    const bytes = await Tokenizer.load(fileURLToPath(new URL('../fixtures/bpe-tokenizer', import.meta.url)));
    const text = 'naïve “quotes” — 文字 🐈\u200d⬛ isn\u0027t it , no ?';
    const stream = new GrowingText((ids) => bytes.decodePrediction(ids));
    const ids = bytes.encode(text, { addEos: false });
    const parts = [...ids].map((id) => stream.push(id)).concat(stream.finish());
    expect(parts.join('')).toBe(bytes.decodePrediction(ids));
    expect(parts.filter((part) => part.includes('\uFFFD'))).toEqual([]);
    expect(parts.filter((part) => part !== '').length).toBeGreaterThan(10);
  });

  it('is never taken back, and all of it is the text of all tokens', () => {
    const glue = tokenizer.encode("it 's n't I 'm ' a . , ! we 've ? don't 're n ' t", { addEos: false });
    const early = { given: 0, all: 0 };
    // Among these, seed 124 ends a quote with a space that the next token takes back.
    for (let seed = 0; seed < 60; seed++) {
      const tokens = tokensOf(seed + 100, [...glue]);
      const stream = new GrowingText((ids) => tokenizer.decodePrediction(ids));
      let text = '';
      tokens.forEach((token, i) => {
        text += stream.push(token);
        expect(tokenizer.decodePrediction(tokens).startsWith(text)).toBe(true);
        if (i === tokens.length - 2) early.given += text.length;
      });
      text += stream.finish();
      expect(text).toBe(tokenizer.decodePrediction(tokens));
      early.all += text.length;
    }
    // Holding everything back until the end would be right too, and useless.
    expect(early.given).toBeGreaterThan(0.85 * early.all);
  });

  it('waits for the rest of a character', () => {
    const bytes = [...Buffer.from('né 🐈 ok')];
    const stream = new GrowingText((ids) => Buffer.from(ids).toString('utf8'));
    const given = bytes.map((byte) => stream.push(byte)).concat(stream.finish());
    expect(given.join('')).toBe('né 🐈 ok');
    expect(given.join('')).not.toContain('\uFFFD');
    expect(given.slice(0, 3)).toEqual(['n', '', 'é']);
  });

  it('holds back only what may change', () => {
    expect(certainLength('one two')).toBe(7);
    expect(certainLength('one ')).toBe(3);
    expect(certainLength("one '")).toBe(3);
    expect(certainLength("a n '")).toBe(1);
    expect(certainLength('文字')).toBe(2);
    expect(certainLength('')).toBe(0);
  });

  it('ends before the first stop string, wherever tokens divide it', () => {
    for (const text of ['abc STOP def', 'abc ST', 'STOP', 'no end', 'a S STOP b']) {
      for (const width of [1, 2, 3, 7]) {
        const parts = text.match(new RegExp(`.{1,${width}}`, 'g')) as string[];
        const stream = new GrowingText((ids) => ids.map((id) => parts[id]).join(''), ['STOP', 'STEP']);
        let given = '';
        for (let i = 0; i < parts.length && !stream.stopped; i++) given += stream.push(i);
        given += stream.finish();
        expect(given).toBe(text.split('STOP')[0]);
        expect(stream.stopped).toBe(text.includes('STOP'));
      }
    }
  });
});

describe('a stream', () => {
  it.each<[string, TaskGenerateOptions]>([
    ['greedy', {}],
    ['sampling', { temperature: 1.3, seed: 5 }],
    ['beam search', { numBeams: 3 }],
  ])('of %s tells every token and ends with what generate returns', async (_, options) => {
    const request = { ...options, maxTokens: 20, logProbs: true };
    const events = await collect(inputs, request);
    const generated = await task.generate(inputs, request);
    generated.forEach((generation, i) => {
      const own = events.filter(({ input }) => input === i);
      expect(own.at(-1)).toMatchObject({ type: 'end', generation: { text: generation.text } });
      const tokens = own.flatMap((event) => (event.type === 'token' ? [event] : []));
      expect(tokens.map(({ token }) => token)).toEqual([...generation.tokens]);
      tokens.forEach(({ logProb }, at) =>
        expect(logProb).toBeCloseTo(generation.logProbs?.[at] as number, 4),
      );
      expect(textOf(events, i)).toBe(generation.text);
    });
  });

  it('tells the first token long before the last', async () => {
    let executed = 0;
    const { device } = engine.model;
    for await (const event of task.stream(inputs[0] as string, { maxTokens: 200 })) {
      if (event.type === 'token') executed ||= device.statistics().commands;
    }
    const all = device.statistics().commands;
    const before = all - executed;
    expect(before).toBeGreaterThan(150);
  });

  it('left early, it stops and gives its memory back', async () => {
    const { device } = engine.model;
    await collect(inputs, { maxTokens: 4 });
    await device.synchronize();
    const held = device.statistics().bytesInUse;
    let seen = 0;
    for await (const event of task.stream(inputs, { maxTokens: 4096 })) {
      if (event.type === 'token' && ++seen === 5) break;
    }
    // Rows leave the running batch behind the piece that is under way.
    await eventually(async () => {
      await device.synchronize();
      expect(device.statistics().bytesInUse).toBeLessThanOrEqual(held);
    });
    expect(await task.generate(inputs, { maxTokens: 4 })).toHaveLength(inputs.length);
  });

  it('an abort ends it with ABORTED', async () => {
    const controller = new AbortController();
    const work = (async () => {
      for await (const event of task.stream(inputs, { maxTokens: 4096, signal: controller.signal }))
        if (event.type === 'token') controller.abort();
    })();
    await expect(work).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(collect(inputs, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('bad input is an error of the loop', async () => {
    await expect(collect('')).rejects.toMatchObject({ code: 'INVALID_DATA' });
    await expect(collect('x', { stop: [''] })).rejects.toThrow(/stop\[0\] is empty/);
  });

  it('on a terminal, outputs come one after the other; as JSON, each event a line', async () => {
    const generated = await task.generate(inputs, { maxTokens: 12 });
    let text = '';
    const stream = task.stream(inputs, { maxTokens: 12 });
    const results = await writeStream(stream, (part) => (text += part), false);
    expect(text).toBe(generated.map((one) => `${one.text}\n`).join(''));
    expect(results).toEqual(generated);
    let lines = '';
    await writeStream(task.stream('Nothing', { maxTokens: 3 }), (part) => (lines += part), true);
    const events = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as GenerationEvent);
    expect(events.at(-1)).toMatchObject({
      type: 'end',
      generation: { tokens: [...(generated[2]?.tokens ?? [])].slice(0, 3) },
    });
  });
});

describe('stop strings', () => {
  it.each<[string, TaskGenerateOptions]>([
    ['greedy', {}],
    ['sampling', { temperature: 1.3, seed: 5 }],
    ['beam search', { numBeams: 2 }],
  ])('cut %s before the match and end the row, batched or alone', async (_, options) => {
    const whole = await task.generate(inputs, { ...options, maxTokens: 40 });
    const stop = [(whole[0]?.text ?? '').slice(8, 11)];
    const cut = await task.generate(inputs, { ...options, maxTokens: 40, stop });
    expect(cut[0]?.text).toBe(whole[0]?.text.slice(0, whole[0]?.text.indexOf(stop[0] as string)));
    expect(cut[0]?.finished).toBe(true);
    expect(cut[0]?.tokens.length).toBeLessThan(40);
    cut.forEach(({ text, tokens }, i) => {
      expect(text).toBe(whole[i]?.text.split(stop[0] as string)[0]);
      expect(whole[i]?.tokens.subarray(0, tokens.length)).toEqual(tokens);
    });
    const [alone] = await task.generate([inputs[0] as string], { ...options, maxTokens: 40, stop });
    // Products of other numbers of rows round a score otherwise; what is chosen by it is the same.
    const score = cut[0]?.score;
    expect(alone).toEqual({
      ...cut[0],
      ...(score === undefined ? {} : { score: expect.closeTo(score, 4) as number }),
    });
  });
});
