import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { concatenate } from '../../src/data/batch.js';
import { disposeTasks } from '../../src/inference/contract/compiled-tasks.js';
import { generateWithTask } from '../../src/inference/decode/generate.js';
import {
  compileHintTasks,
  restoreTasks,
  type HintTasks,
} from '../../src/inference/encoder-decoder/compile.js';
import { loadModel } from '../../src/model/checkpoint/checkpoint.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { packModules } from '../../src/model/modules/task-modules.js';
import { Device } from '../../src/tensor/device.js';
import { relativeDifference } from '../../src/util/relative-difference.js';
import { GREEDY_MODEL } from './models.js';

interface Fixture {
  max_tokens: number;
  examples: { instruction: number[]; input: number[] }[];
}

/** A task with its matrices in bf16 and all else in f32: nothing narrower than what products round to. */
async function wideTask(model: EncoderDecoderModel, instruction: Int32Array): Promise<HintTasks> {
  const { device } = model;
  const made = await device.inSlices(device.tidied(model.encodeTasks(concatenate([instruction]))));
  const modules = device.now(packModules(made.modules, () => 'bf16', { keepsTensors: true }));
  const encoded = { ...made, modules };
  const offsets = made.instructions?.offsets as Int32Array;
  const shared = device.tidy(() =>
    Array.from({ length: model.config.numDecoderLayers }, (_, layer) =>
      model.t5.sharedKeys(
        layer,
        made.instructions as NonNullable<typeof made.instructions>,
        model.taskRows(encoded, Int32Array.of(0), offsets),
      ),
    ),
  );
  return restoreTasks(model, encoded, { shared });
}

it.each([
  ['bf16', 3e-2],
  ['int8', 5e-2],
] as const)(
  'what an engine of %s keeps of a task in fewer bits moves its answers by less than the dtype is held to',
  async (dtype, bound) => {
    const fixture = JSON.parse(await readFile(join(GREEDY_MODEL, 'inputs.json'), 'utf8')) as Fixture;
    const instructions = fixture.examples.map(({ instruction }) => Int32Array.from(instruction));
    const inputs = fixture.examples.map(({ input }) => Int32Array.from(input));
    const device = new Device({ threads: 1 });
    const model = await loadModel(device, GREEDY_MODEL);
    const options = { maxTokens: fixture.max_tokens, logProbs: true };
    const wideLogProbs: number[] = [];
    const keptLogProbs: number[] = [];
    let answers = 0;
    let same = 0;
    try {
      model.inferenceDType = dtype;
      await model.prepareInference();
      for (const instruction of instructions) {
        const wide = await wideTask(model, instruction);
        const kept = await compileHintTasks(model, concatenate([instruction]));
        expect(kept.bytes).toBeLessThan(wide.bytes);
        const expected = await generateWithTask(model, wide, inputs, options);
        const actual = await generateWithTask(model, kept, inputs, options);
        for (const [i, { tokens, logProbs = [] }] of expected.entries()) {
          const other = actual[i] as (typeof expected)[number];
          const first = tokens.findIndex((token, at) => token !== other.tokens[at]);
          const equal = first < 0 ? tokens.length : first;
          wideLogProbs.push(...logProbs.slice(0, equal));
          keptLogProbs.push(...(other.logProbs ?? []).slice(0, equal));
          answers++;
          if (first < 0) same++;
        }
        disposeTasks(wide);
        disposeTasks(kept);
      }
    } finally {
      model.dispose();
      device.close();
    }
    expect(wideLogProbs.length).toBeGreaterThan(500);
    expect(relativeDifference(Float32Array.from(keptLogProbs), Float32Array.from(wideLogProbs))).toBeLessThan(
      bound,
    );
    // Its weights are random: next tokens are almost equally likely, again and again.
    expect(same / answers).toBeGreaterThan(0.8);
  },
);
