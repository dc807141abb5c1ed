import { beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/index.js';
import type { RunningServer } from '../../src/server/index.js';
import { tinyConfig } from '../inference/models.js';
import { ask, openTiny, serve } from './served.js';

const path = '/v1/compare';
const instruction = 'Name the animal in the sentence.';
const input = 'A horse and two birds.';
let engine: Engine;
let server: RunningServer;

beforeAll(async () => {
  engine = await openTiny();
  server = await serve(engine);
});

interface Side {
  text: string;
  read_tokens: number;
  output_tokens: number;
  milliseconds: number;
  flops: number;
}
interface Body {
  compiled: Side & { instruction_tokens: number; compile_flops: number };
  plain: Side;
}

const compare = (examples: object[]) =>
  ask<Body>(server, 'POST', path, { instruction, examples, input, max_tokens: 4 });

describe('a comparison', () => {
  it('answers as the task does, and counts what each reads for an input', async () => {
    using task = await engine.tasks.get({ definition: instruction });
    const [expected] = await task.generate(input, { maxTokens: 4 });
    const { status, body } = await compare([]);
    expect(status).toBe(200);
    expect(body.compiled).toMatchObject({
      text: expected?.text,
      instruction_tokens: task.instructionTokens,
      read_tokens: task.inputTokens(input),
      output_tokens: 4,
      flops: task.flops(input, 4).input,
    });
    expect(body.plain.read_tokens).toBeGreaterThan(body.compiled.read_tokens + task.instructionTokens / 2);
    expect(Math.min(body.compiled.milliseconds, body.plain.milliseconds)).toBeGreaterThan(0);
  });

  it('has a plain T5 whose cost grows with the examples, and a task whose cost hardly does', async () => {
    const none = (await compare([])).body;
    const examples = Array.from({ length: 4 }, (_, i) => ({ input: `A cat sees ${i} dogs.`, output: 'cat' }));
    const four = (await compare(examples)).body;
    expect(four.plain.flops - none.plain.flops).toBeGreaterThan(
      5 * (four.compiled.flops - none.compiled.flops),
    );
    expect(four.compiled.read_tokens).toBe(none.compiled.read_tokens);
  });

  it('is refused where there is nothing to compare, and where something is too long', async () => {
    const plain = await serve(await openTiny(tinyConfig(null)));
    expect(await ask(plain, 'POST', path, { instruction, input })).toMatchObject({
      status: 400,
      body: { error: { code: 'nothing_to_compare' } },
    });
    const small = await serve(engine, { limits: { inputTokens: 4 } });
    expect(await ask(small, 'POST', path, { instruction, input })).toMatchObject({
      status: 400,
      body: { error: { code: 'context_length_exceeded' } },
    });
    expect(await ask(server, 'POST', path, { instruction, input, max_tokens: 129 })).toMatchObject({
      status: 400,
      body: { error: { param: 'max_tokens' } },
    });
  });
});
