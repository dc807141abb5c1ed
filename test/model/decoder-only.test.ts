import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildBatch, type RaggedBatch, type TokenizedExample } from '../../src/data/batch.js';
import { generateTokens } from '../../src/inference/decode/generate.js';
import { DecoderOnlyModel } from '../../src/model/decoder-only/decoder-only-model.js';
import { namePrefixes, split, storedGroups } from '../../src/model/decoder-only/layout.js';
import { openModel } from '../../src/model/families/open-model.js';
import { openSafetensors, toFloat32 } from '../../src/formats/safetensors/file.js';
import * as ops from '../../src/tensor/ops.js';
import { Device } from '../../src/tensor/device.js';
import { Gradients, Tape } from '../../src/tensor/tape.js';

const device = new Device({ threads: 2 });
afterAll(() => device.close());

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'decoder-only');
const TOLERANCE = 2e-5;

interface Fixture {
  model: DecoderOnlyModel;
  directory: string;
  maxTokens: number;
  batch: RaggedBatch;
  examples: TokenizedExample[];
  expected: { losses: number[]; logits_after_prompt: number[][]; tokens: number[][] };
}

async function open(name: string): Promise<Fixture> {
  const directory = join(FIXTURES, name);
  const json = (file: string): unknown => JSON.parse(readFileSync(join(directory, file), 'utf8'));
  const model = await openModel(device, directory);
  if (!(model instanceof DecoderOnlyModel)) throw new Error(`${name} is no decoder-only model`);
  const inputs = json('inputs.json') as {
    max_tokens: number;
    examples: { instruction: number[]; input: number[]; target: number[] }[];
  };
  const examples = inputs.examples.map(({ instruction, input, target }, i) => ({
    id: `${i}`,
    task: '',
    instruction: Int32Array.from(instruction),
    input: Int32Array.from(input),
    target: Int32Array.from(target),
    references: [],
  }));
  return {
    model,
    directory,
    maxTokens: inputs.max_tokens,
    batch: buildBatch(examples),
    examples,
    expected: json('expected.json') as Fixture['expected'],
  };
}

/** max |a - b| / max |b|. */
function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let [largest, scale] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs((actual[i] as number) - (expected[i] as number)));
    scale = Math.max(scale, Math.abs(expected[i] as number));
  }
  return largest / scale;
}

/** Everything in one row of tokens, as the baseline's single text would be. */
function joined({ instruction, input }: TokenizedExample): Int32Array {
  return Int32Array.of(...instruction.slice(0, -1), ...input);
}

describe.each(['gpt2', 'opt', 'opt-norm-after'])('%s as Hugging Face computes it', (name) => {
  it.each(['none', 'layers'] as const)(
    'losses of target tokens and every gradient, running again: %s',
    async (backward) => {
      const { model, directory, batch, expected } = await open(name);
      const gradients = new Gradients(device);
      const tape = new Tape(device, model.parameters.all());
      const roots = tape.run(() => device.now(model.loss(batch, { backward })));
      const losses = await roots.loss.read();
      expect(difference(losses, expected.losses)).toBeLessThan(TOLERANCE);
      const total = tape.run(() => ops.sum(roots.loss));
      tape.backward([total], gradients);
      await using file = await openSafetensors(join(directory, 'gradients.safetensors'));
      const [prefix] = namePrefixes(model.config);
      for (const group of storedGroups(model.config)) {
        const stored = toFloat32(await file.read(`${prefix}${group.name}`), 'F32');
        const tensors = group.parameters.map((parameter) => model.parameters.get(parameter));
        const parts = await split(
          group,
          tensors.map(({ shape }) => shape),
          stored,
        );
        for (const [i, tensor] of tensors.entries()) {
          const values = await (gradients.get(tensor) as NonNullable<ReturnType<Gradients['get']>>).read();
          // Keys have no bias in effect: softmax ignores what every score of a query has in common.
          if (group.parameters[i]?.endsWith('.k.bias')) {
            expect(Math.max(...values.map(Math.abs))).toBeLessThan(1e-4);
          } else {
            expect(difference(values, parts[i] as Float32Array), group.parameters[i]).toBeLessThan(TOLERANCE);
          }
        }
      }
      gradients.dispose();
      model.dispose();
    },
  );

  it('greedy tokens, with instructions compiled once, and in one text', async () => {
    const { model, batch, examples, maxTokens, expected } = await open(name);
    const listOf = (generated: { tokens: Int32Array }[]): number[][] =>
      generated.map(({ tokens }) => [...tokens]);
    const apart = await generateTokens(model, {
      instructions: [examples[0]!.instruction, examples[2]!.instruction],
      inputs: examples.map(({ input }) => input),
      taskIndex: batch.taskIndex,
      maxTokens,
    });
    expect(listOf(apart)).toEqual(expected.tokens);
    const together = await generateTokens(model, { inputs: examples.map(joined), maxTokens });
    expect(listOf(together)).toEqual(expected.tokens);
    model.dispose();
  });

  it('logits after the prompt', async () => {
    const { model, examples, expected } = await open(name);
    for (const [i, example] of examples.entries()) {
      const start = model.config.prependBos ? [model.config.bosTokenId] : [];
      const ids = Int32Array.of(...start, ...joined(example).slice(0, -1));
      const logits = await model.forward({ ids, offsets: Int32Array.of(0, ids.length) }).read();
      const last = logits.slice(-model.config.vocabSize);
      expect(difference(last, expected.logits_after_prompt[i] as number[])).toBeLessThan(TOLERANCE);
    }
    model.dispose();
  });
});
