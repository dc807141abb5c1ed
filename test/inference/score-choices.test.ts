import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concatenate } from '../../src/data/batch.js';
import { Engine } from '../../src/inference/engine.js';
import { scoreChoices } from '../../src/inference/decode/score-choices.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { Device } from '../../src/tensor/device.js';
import { FULL_HINT, randomModel, removeAll, tinyConfig, writeModel } from './models.js';

let device: Device;
beforeAll(() => (device = new Device({ threads: 2 })));
afterAll(() => device.close());

const ids = (...values: number[]): Int32Array => Int32Array.from(values);
const INSTRUCTIONS = [ids(90, 91, 92), ids(93, 94)];
const INPUTS = [ids(10, 11, 12), ids(13), ids(14, 15), ids(16, 17, 18, 19)];
const TASK_INDEX = [1, 0, 1, 0];
const CHOICES = [
  [ids(20, 1), ids(21, 22, 1)],
  [ids(23, 24, 25, 26, 1)],
  [ids(27, 1), ids(28, 1), ids(29, 30, 1)],
  [ids(31, 1), ids(31, 1)],
];

/** The score of one choice by itself: logits, a softmax and a sum, in plain JavaScript. */
async function byHand(model: EncoderDecoderModel, input: number, choice: Int32Array): Promise<number> {
  const { hypernetwork } = model;
  const batch = {
    instructions: concatenate(hypernetwork ? [INSTRUCTIONS[TASK_INDEX[input]!]!] : []),
    inputs: concatenate([INPUTS[input]!]),
    targets: concatenate([choice]),
    taskIndex: ids(0),
    examples: [],
  };
  const logits = device.tidy(() => model.t5.logits(device.now(model.forward(batch)).hidden));
  const values = await logits.read();
  logits.dispose();
  const width = values.length / choice.length;
  return choice.reduce((sum, id, at) => {
    const row = Array.from(values.subarray(at * width, (at + 1) * width));
    const most = Math.max(...row);
    const total = row.reduce((all, logit) => all + Math.exp(logit - most), 0);
    return sum + row[id]! - most - Math.log(total);
  }, 0);
}

describe.each([
  ['a compiled HINT', FULL_HINT],
  ['plain T5', null],
])('scoreChoices of %s', (_name, hint) => {
  let model: EncoderDecoderModel;
  beforeAll(() => (model = randomModel(device, tinyConfig(hint), 3)));
  const request = () => ({
    inputs: INPUTS,
    choices: CHOICES,
    ...(hint ? { instructions: INSTRUCTIONS, taskIndex: TASK_INDEX } : {}),
  });

  it('is the sum of the log softmax of every token, whatever else is scored with it', async () => {
    const together = await scoreChoices(model, request());
    const apart = await scoreChoices(model, { ...request(), batchSize: 1 });
    for (const [input, choices] of CHOICES.entries()) {
      for (const [i, choice] of choices.entries()) {
        const expected = await byHand(model, input, choice);
        expect(together[input]!.scores[i]).toBeCloseTo(expected, 3);
        expect(apart[input]!.scores[i]).toBeCloseTo(expected, 3);
      }
      const { scores, best } = together[input]!;
      expect(scores[best]).toBe(Math.max(...scores));
    }
  });

  it('takes the first of equal choices, and the mean per token when asked to', async () => {
    const plain = await scoreChoices(model, request());
    expect(plain[3]!.scores[0]).toBe(plain[3]!.scores[1]);
    expect(plain[3]!.best).toBe(0);
    const mean = await scoreChoices(model, { ...request(), lengthNormalised: true });
    expect(mean[0]!.scores).toEqual([plain[0]!.scores[0]! / 2, plain[0]!.scores[1]! / 3]);
  });

  it.each([
    [{ choices: [[], ...CHOICES.slice(1)] }, /Input number 0 has 0 choices/],
    [{ choices: CHOICES.slice(1) }, /3 lists of choices for 4 inputs/],
    [{ choices: [[ids()], ...CHOICES.slice(1)] }, /Choice number 0 of input number 0 has no token/],
    [{ choices: [[ids(9000, 1)], ...CHOICES.slice(1)] }, /9000/],
    [{ inputs: [ids(), ...INPUTS.slice(1)] }, /Input number 0 has no token/],
    [{ batchSize: 0 }, /batchSize is 0/],
    [{ signal: AbortSignal.abort() }, /aborted/],
  ])('refuses %j', async (changed, message) => {
    await expect(scoreChoices(model, { ...request(), ...changed })).rejects.toThrow(message);
  });
});

describe('Task.scoreChoices', () => {
  it('scores texts and ids alike, shared choices and an input’s own', async () => {
    const directory = await writeModel(tinyConfig(FULL_HINT));
    try {
      await using engine = await Engine.open(directory, { threads: 1 });
      using task = await engine.compile({ definition: 'Is it true?' });
      const inputs = ['It rains.', 'It is dry.'];
      const shared = await task.scoreChoices(inputs, ['Yes', 'No']);
      expect(shared.map(({ scores }) => scores.length)).toEqual([2, 2]);
      expect(await task.scoreChoices(inputs, [['Yes', 'No'], ['Yes']])).toEqual([
        shared[0],
        { scores: [expect.closeTo(shared[1]!.scores[0]!, 4)], best: 0 },
      ]);
      const yes = engine.tokenizer!.encode('Yes');
      const [byIds] = await task.scoreChoices(inputs.slice(0, 1), [yes]);
      expect(byIds!.scores[0]).toBeCloseTo(shared[0]!.scores[0]!, 4);
      await expect(task.scoreChoices(inputs, [])).rejects.toThrow(/0 choices/);
      await expect(task.scoreChoices(inputs, ['Yes', ['No']] as never)).rejects.toThrow(/mixed/);
    } finally {
      await removeAll([directory]);
    }
  });
});
