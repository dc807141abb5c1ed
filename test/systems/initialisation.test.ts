import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveModel } from '../../src/model/checkpoint/checkpoint.js';
import { parseModelConfig } from '../../src/model/config/config.js';
import { buildModel } from '../../src/model/hint/build-model.js';
import type { EncoderDecoderModel } from '../../src/model/hint/encoder-decoder-model.js';
import { initialisation } from '../../src/model/parameters/initialisation.js';
import { initialiseParameters, initialTensor } from '../../src/model/parameters/initialise.js';
import { findSystem, SYSTEMS } from '../../src/systems/index.js';
import { Device } from '../../src/tensor/device.js';
import { createModel } from '../../src/training/run/prepare.js';
import { valuesOf } from '../training/tiny.js';
import { floatsOf, TINY_T5, tinyConfig, tinyRun } from './tiny-systems.js';

const device = new Device({ threads: 1 });
let directory: string;
let pretrained: EncoderDecoderModel;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-start-'));
  const config = parseModelConfig(TINY_T5);
  // Another seed than the runs': what equals these values was loaded.
  pretrained = buildModel(device, config, initialiseParameters(device, config, 99));
  await saveModel(pretrained, directory);
});
afterAll(async () => {
  device.close();
  await rm(directory, { recursive: true, force: true });
});

/** Where a tensor of a system with a separate hyperencoder comes from. */
function sourceOf(name: string): string | undefined {
  return /^hypernetwork\.((encoder|decoder)\..*)$/.exec(name)?.[1];
}

/** Decoder-only systems have tests of their own, in test/model/decoder-only*.test.ts. */
const T5_SYSTEMS = SYSTEMS.filter(({ family }) => family === 't5');

describe.each(T5_SYSTEMS.map((system) => ({ name: system.name, system })))(
  '$name, started from a T5',
  ({ system }) => {
    it('keeps T5, copies it into a hyperencoder or decoder of its own, and draws the rest', async () => {
      const config = tinyConfig(system, { model: { init: directory } });
      const model = (await createModel(
        device,
        { ...config, model: { ...tinyConfig(system).model, init: directory } },
        system,
        {},
      )) as EncoderDecoderModel;
      const t5 = await valuesOf(pretrained);
      const own = await valuesOf(model);
      for (const [name, hash] of t5) expect([name, own.get(name)]).toEqual([name, hash]);
      const added = [...own.keys()].filter((name) => !t5.has(name));
      const hasModules = system.hypernetwork !== undefined && system.name !== 'hint-no-peft';
      expect(added.length > 0).toBe(hasModules);
      for (const name of added) {
        const source = sourceOf(name);
        if (source !== undefined) {
          expect([name, own.get(name)]).toEqual([name, t5.get(source)]);
        } else {
          const { shape } = model.parameters.get(name);
          const drawn = initialTensor(device, initialisation(model.config, name), shape, config.seed, name);
          expect([name, await floatsOf(model, name)]).toEqual([name, await drawn.read()]);
        }
      }
    });
  },
);

describe('a hyperencoder of its own', () => {
  const separate = ['hint-untied', 'hint-decoder', 'hypter', 'hypertune'];

  it.each(separate)(
    'of %s is random when the run asks for it, as the original’s scripts of Hypter',
    async (name) => {
      const { model } = await tinyRun(device, findSystem(name), {
        model: { ...tinyConfig(findSystem(name)).model, init: directory, hyperencoderInit: 'random' },
      });
      const weight = 'encoder.block.0.layer.0.SelfAttention.q.weight';
      expect(await floatsOf(model, weight)).toEqual(await floatsOf(pretrained, weight));
      expect(await floatsOf(model, `hypernetwork.${weight}`)).not.toEqual(await floatsOf(pretrained, weight));
    },
  );

  it('copies the encoder also of a T5 that itself starts from nothing, unless it is to be random', async () => {
    const weight = 'encoder.block.0.layer.1.DenseReluDense.wo.weight';
    for (const [hyperencoderInit, isCopy] of [
      ['pretrained', true],
      ['random', false],
    ] as const) {
      const system = findSystem('hypter');
      const { model } = await tinyRun(device, system, {
        model: { ...tinyConfig(system).model, hyperencoderInit },
      });
      const [own, copy] = [await floatsOf(model, weight), await floatsOf(model, `hypernetwork.${weight}`)];
      expect(Buffer.from(own.buffer).equals(Buffer.from(copy.buffer))).toBe(isCopy);
    }
  });

  it('is what the option is about: other systems refuse it and name those that have one', async () => {
    for (const name of SYSTEMS.map((system) => system.name).filter((each) => !separate.includes(each))) {
      const model = { ...tinyConfig(findSystem(name)).model, hyperencoderInit: 'random' as const };
      await expect(tinyRun(device, findSystem(name), { model })).rejects.toMatchObject({
        code: 'INVALID_CONFIG',
        message: expect.stringContaining(`hint-decoder, hint-untied, hypter, hypertune`),
      });
    }
  });
});

describe('a model of a published size', () => {
  it('starts from nothing under its name; another name is answered with those there are', async () => {
    const system = findSystem('hint');
    const { model } = await tinyRun(device, system, {
      model: { ...tinyConfig(system).model, init: { size: 'tiny' } },
    });
    expect(model.config).toMatchObject({ vocabSize: 32128, dModel: 8, dKv: 3, numHeads: 4, numLayers: 2 });
    expect(() => tinyConfig(system, { model: { init: { size: 'huge' as 'base' } } })).toThrow(
      /init is {"size": "huge"}.*tiny, small, base, large, xl, xxl/,
    );
  });
});

describe('a checkpoint with a hypernetwork', () => {
  it('is continued by its own system, whole', async () => {
    const folder = join(directory, 'untied');
    const system = findSystem('hint-untied');
    const first = await tinyRun(device, system, { seed: 7 });
    await saveModel(first.model, folder);
    const { model } = await tinyRun(device, system, { model: { init: folder } });
    expect(model.config.hint).toEqual(first.model.config.hint);
    expect(await valuesOf(model)).toEqual(await valuesOf(first.model));
  });

  it('can be fine-tuned without fusion, which needs no other tensors', async () => {
    const folder = join(directory, 'hint');
    const first = await tinyRun(device, findSystem('hint'));
    await saveModel(first.model, folder);
    const { model } = await tinyRun(device, findSystem('hint-no-fusion'), { model: { init: folder } });
    expect(model.config.hint).toEqual({ ...first.model.config.hint, instructionFusion: false });
    expect(await valuesOf(model)).toEqual(await valuesOf(first.model));
  });

  it('that lacks a tensor its own configuration asks for is damaged, not half fresh', async () => {
    const folder = join(directory, 'damaged');
    const { model } = await tinyRun(device, findSystem('hint'));
    const config = { ...model.config, hint: { ...model.config.hint!, tieHyperencoder: false } };
    await saveModel(buildModel(device, config, model.parameters), folder);
    await expect(
      tinyRun(device, findSystem('hint-untied'), { model: { init: folder } }),
    ).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(/hypernetwork\.encoder/),
    });
  });
});
