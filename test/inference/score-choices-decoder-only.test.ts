import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { evaluateP3 } from '../../src/evaluation/rank-classification.js';
import { Engine } from '../../src/inference/engine.js';
import { scoreChoices } from '../../src/inference/decode/score-choices.js';
import type { AnyModel } from '../../src/model/family.js';
import { openModel } from '../../src/model/families/open-model.js';
import { Device } from '../../src/tensor/device.js';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'decoder-only');
const device = new Device({ threads: 1 });
afterAll(() => device.close());

interface Example {
  instruction: number[];
  input: number[];
  target: number[];
}

const readJson = (...path: string[]): unknown => JSON.parse(readFileSync(join(FIXTURES, ...path), 'utf8'));
const toIds = (values: number[]): Int32Array => Int32Array.from(values);

/** Hugging Face's losses, one per target token, cut into examples. */
function lossesPerExample(name: string, examples: readonly Example[]): number[] {
  const { losses } = readJson(name, 'expected.json') as { losses: number[] };
  let at = 0;
  return examples.map(({ target }) =>
    losses.slice(at, (at += target.length)).reduce((sum, loss) => sum + loss, 0),
  );
}

describe.each(['gpt2', 'opt', 'opt-norm-after'])('scoring choices with %s', (name) => {
  let model: AnyModel;
  const { examples } = readJson(name, 'inputs.json') as { examples: Example[] };
  beforeAll(async () => (model = await openModel(device, join(FIXTURES, name))));

  it('gives the log probabilities that Hugging Face gives, whatever is scored beside', async () => {
    const expected = lossesPerExample(name, examples);
    // Every example's target is a choice of every example; its own is the one whose probability is known.
    const request = {
      instructions: examples.map(({ instruction }) => toIds(instruction)),
      inputs: examples.map(({ input }) => toIds(input)),
      taskIndex: examples.map((_, i) => i),
      choices: examples.map(() => examples.map(({ target }) => toIds(target))),
    };
    for (const batchSize of [64, 1]) {
      const scored = await scoreChoices(model, { ...request, batchSize });
      scored.forEach(({ scores, best }, i) => {
        expect(scores[i]).toBeCloseTo(-(expected[i] as number), 3);
        expect(scores[best]).toBe(Math.max(...scores));
      });
    }
  });

  it('gives the same where the instruction stands in the input, and for choices of one token', async () => {
    const [{ instruction, input, target }] = examples as [Example];
    const eos = (readJson(name, 'config.json') as { eos_token_id: number }).eos_token_id;
    const bare = instruction.at(-1) === eos ? instruction.slice(0, -1) : instruction;
    const choices = [[toIds(target), toIds(target.slice(0, 1))]];
    const [apart] = await scoreChoices(model, { instructions: [toIds(instruction)], inputs: [toIds(input)], choices }); // prettier-ignore
    const [joined] = await scoreChoices(model, { inputs: [toIds([...bare, ...input])], choices });
    apart!.scores.forEach((score, i) => expect(joined!.scores[i]).toBeCloseTo(score, 3));
    const [short] = await scoreChoices(model, {
      inputs: [toIds([...bare, ...input])],
      choices: [[toIds(target.slice(0, 1))]],
    });
    expect(short!.scores[0]).toBeCloseTo(joined!.scores[1]!, 3);
  });

  it('refuses what is longer than its positions, and tokens it does not have', async () => {
    const long = [Int32Array.from({ length: 5000 }, () => 3)];
    await expect(scoreChoices(model, { inputs: long, choices: [[toIds([4])]] })).rejects.toThrow(/positions/);
    await expect(scoreChoices(model, { inputs: [toIds([3])], choices: [[toIds([99_999])]] })).rejects.toThrow(/99999/); // prettier-ignore
  });
});

it('a task of a decoder-only model scores choices, and P3 is ranked with it', async () => {
  await using engine = new Engine(await openModel(device, join(FIXTURES, 'gpt2')));
  const { examples } = readJson('gpt2', 'inputs.json') as { examples: Example[] };
  const [{ instruction, input, target }] = examples as [Example];
  using task = await engine.compileTokens(toIds(instruction));
  const [scored] = await task.scoreChoices([toIds(input)], [toIds(target), toIds([5])]);
  expect(scored!.scores[0]).toBeCloseTo(-(lossesPerExample('gpt2', examples)[0] as number), 3);
  const evaluated = await evaluateP3(
    { model: engine.model, tokenizer: undefined as never },
    {
      examples: [
        {
          id: 'a',
          task: 'rte_one',
          instruction: new Int32Array(0),
          input: toIds(input),
          target: toIds(target),
          references: ['yes'],
          choices: [{ text: 'yes', ids: toIds(target) }, { text: 'no', ids: toIds([5]) }],
        },
      ],
      templates: new Map([
        ['rte_one', { dataset: 'rte', template: 'one', originalTask: true, hasChoices: true, instructions: [], rows: 1 }],
      ]),
    },
  ); // prettier-ignore
  expect(evaluated.templates[0]).toMatchObject({ dataset: 'rte', count: 1 });
  expect([0, 100]).toContain(evaluated.average);
});
