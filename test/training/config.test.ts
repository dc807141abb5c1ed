import { describe, expect, it } from 'vitest';
import type { HintError } from '../../src/util/errors.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';
import { applyOverrides } from '../../src/training/config/overrides.js';
import { withSteps } from '../../src/training/run/prepare.js';
import { learningRateAt, type Schedule } from '../../src/training/step/schedule.js';

const minimal = { model: { init: 'base' }, data: { directory: 'sni' }, output: 'run' };

function faultOf(body: () => unknown): HintError {
  try {
    body();
  } catch (error) {
    return error as HintError;
  }
  throw new Error('nothing was thrown');
}

describe('training configuration', () => {
  it('is the paper recipe where the file says nothing', () => {
    expect(parseTrainingConfig(minimal)).toMatchObject({
      system: 'hint',
      steps: 1000,
      batchSize: 1024,
      learningRate: 1e-3,
      schedule: 'constant',
      dropout: 0.1,
      zLoss: 1e-4,
      optimizer: { name: 'adafactor', decayRate: 0.8, clippingThreshold: 1, epsilon2: 1e-3 },
      data: { positives: 0, instancesPerTask: 100, maxInputTokens: 1024, maxTargetTokens: 256 },
    });
  });

  it('reads back what it wrote: a resolved configuration resolves to itself', () => {
    const config = parseTrainingConfig({ ...minimal, optimizer: { name: 'adamw', weightDecay: 0.1 } });
    expect(parseTrainingConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it.each([
    ['80GiB', 80 * 2 ** 30],
    ['1.5 gb', 1.5e9],
    ['4096', 4096],
    [4096, 4096],
  ])('takes %j as a memory budget', (memoryBudget, bytes) => {
    expect(parseTrainingConfig({ ...minimal, memoryBudget }).memoryBudget).toBe(bytes);
  });

  it.each(['plenty', '80 XiB', '-1', 0, '0GiB'])('refuses the memory budget %j', (memoryBudget) => {
    const { message } = faultOf(() => parseTrainingConfig({ ...minimal, memoryBudget }));
    expect(message).toMatch(/memoryBudget is .*must be (a number of bytes|at least 1)/);
  });

  it.each([
    [undefined, 'auto'],
    [true, 'layers'],
    [false, 'none'],
    ['both', 'both'],
  ] as const)('takes recompute %j as %s', (recompute, mode) => {
    expect(
      parseTrainingConfig({ ...minimal, ...(recompute === undefined ? {} : { recompute }) }).recompute,
    ).toBe(mode);
  });

  it.each([
    [{ ...minimal, learningrate: 1 }, /learningrate is unknown; did you mean learningRate\?/],
    [
      { ...minimal, data: { directory: 'x', postives: 2 } },
      /data\.postives is unknown; did you mean positives\?/,
    ],
    [
      { model: { init: 'base', hint: { adapterSize: 65_537 } } },
      /model\.hint\.adapterSize is 65537.* at most 65536/,
    ],
    [
      { ...minimal, model: { init: 'x', hint: { adapter_size: 4 } } },
      /model\.hint\.adapter_size is unknown; did you mean adapterSize\?/,
    ],
    [{ ...minimal, foo: 1 }, /: foo is unknown; the keys are system, model, data,/],
    [{ ...minimal, optimizer: { beta1: 0.9 } }, /optimizer\.beta1 is unknown.*decayRate/],
    [{ ...minimal, optimizer: { name: 'adamw', decayRate: 1 } }, /optimizer\.decayRate is unknown.*beta1/],
    [
      { ...minimal, optimizer: { groups: { hyper: { offset: 1 } } } },
      /optimizer\.groups\.hyper\.offset is unknown.*stepOffset/,
    ],
  ])('names an unknown key and the nearest known one: %j', (json, message) => {
    const fault = faultOf(() => parseTrainingConfig(json, 'train.json'));
    expect(fault.code).toBe('INVALID_CONFIG');
    expect(fault.message).toMatch(message);
    expect(fault.message).toMatch(/^train\.json/);
  });

  it('lists the known keys once, however many are unknown', () => {
    const { message } = faultOf(() =>
      parseTrainingConfig({
        ...minimal,
        optimizer: { name: 'adamw', decayRate: 1, epsilon1: 1, grouping: 'dual' },
      }),
    );
    expect(message).toMatch(
      /decayRate is unknown; optimizer\.epsilon1 is unknown; did you mean epsilon\? opt/,
    );
    expect(message.match(/the keys are/g)).toHaveLength(1);
  });

  it('names every field at fault with its value, not only the first', () => {
    const { message } = faultOf(() =>
      parseTrainingConfig({ ...minimal, output: undefined, steps: -1, model: { init: 7 }, dropout: 'no' }),
    );
    expect(message).toMatch(/output is missing/);
    expect(message).toMatch(/steps is -1/);
    expect(message).toMatch(/model\.init is 7: must be a model directory.*tiny, small, base/);
    expect(message).toMatch(/dropout is "no"/);
  });

  it('says of what is missing how it is given, in the file and on the command line', () => {
    const told = (json: unknown): string => faultOf(() => parseTrainingConfig(json)).message;
    expect(told({})).toMatch(
      /model is missing; set model\.init \(--init DIRECTORY, or --size NAME.*; data is missing; set data\.directory \(--data DIRECTORY\); output is missing; set output \(--output/,
    );
    expect(told({ ...minimal, data: {} })).toMatch(
      /data\.directory is missing; set data\.directory \(--data/,
    );
  });

  it('refuses what is no object', () => {
    for (const json of [null, 3, 'text', []]) {
      expect(faultOf(() => parseTrainingConfig(json)).code).toBe('INVALID_CONFIG');
    }
  });
});

describe('--set', () => {
  it('sets nested fields, makes missing objects, and reads values as JSON or else as text', () => {
    const json = { data: { directory: 'a' } };
    const changed = applyOverrides(json, [
      'data.positives=2',
      'model.hint.adapterBias=false',
      'output=runs/a=b',
      'model.init={"config": {"d_model": 8}}',
    ]);
    expect(changed).toEqual({
      data: { directory: 'a', positives: 2 },
      model: { hint: { adapterBias: false }, init: { config: { d_model: 8 } } },
      output: 'runs/a=b',
    });
    expect(json).toEqual({ data: { directory: 'a' } });
  });

  it.each(['steps', '=3', 'a..b=1', '__proto__.x=1', 'data.directory.x=1'])('refuses %s', (assignment) => {
    expect(faultOf(() => applyOverrides({ data: { directory: 'a' } }, [assignment])).code).toBe(
      'INVALID_ARGUMENT',
    );
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });
});

describe('learning rate', () => {
  const rates = (kind: Schedule['kind'], warmupSteps: number): number[] =>
    Array.from({ length: 6 }, (_, step) =>
      learningRateAt({ kind, learningRate: 12, warmupSteps, steps: 6 }, step),
    );

  it('is constant from the first step, as in the paper', () => {
    expect(rates('constant', 0)).toEqual([12, 12, 12, 12, 12, 12]);
  });

  it('rises over the warm-up and falls linearly, without a step at rate 0', () => {
    expect(rates('linear', 2)).toEqual([6, 12, 12, 9, 6, 3]);
    expect(rates('linear', 0)).toEqual([12, 10, 8, 6, 4, 2]);
    expect(rates('constant', 3)).toEqual([4, 8, 12, 12, 12, 12]);
  });

  it('falls along half a cosine from the warm-up to the end of the run, without a step at rate 0', () => {
    const close = (found: number[], wanted: number[]) =>
      found.forEach((rate, i) => expect(rate).toBeCloseTo(wanted[i]!, 12));
    const root = Math.sqrt(2);
    close(rates('cosine', 2), [6, 12, 12, 6 + 3 * root, 6, 6 - 3 * root]);
    expect(rates('cosine', 0)[0]).toBe(12);
    expect(Math.min(...rates('cosine', 0))).toBeGreaterThan(0);
  });

  it('falls with the root of the step from the warm-up on, however long the run is', () => {
    expect(rates('inverse-sqrt', 4)).toEqual([3, 6, 9, 12, 12 * Math.sqrt(4 / 5), 12 * Math.sqrt(4 / 6)]);
    expect(rates('inverse-sqrt', 0).slice(0, 4)).toEqual([
      12,
      12 * Math.sqrt(1 / 2),
      12 * Math.sqrt(1 / 3),
      6,
    ]);
  });
});

describe('the length of a run', () => {
  const given = parseTrainingConfig({ ...minimal, steps: 1000, warmupSteps: 7, batchSize: 8 });

  it('in epochs is the steps they come to, in place of those that are given', () => {
    expect(withSteps(given, 20)).toEqual(given);
    expect(withSteps({ ...given, epochs: 3, warmupEpochs: 0.5 }, 20)).toMatchObject({
      steps: 8,
      warmupSteps: 2,
    });
    expect(withSteps({ ...given, warmupEpochs: 0 }, 20)).toMatchObject({ steps: 1000, warmupSteps: 0 });
  });

  it('in epochs of a stream, or beyond every number of steps, is refused by what to set instead', () => {
    expect(faultOf(() => withSteps({ ...given, epochs: 2 }, undefined)).message).toMatch(/set steps instead/);
    expect(faultOf(() => withSteps({ ...given, epochs: 1e6 }, 1e9)).message).toMatch(/at most 2,147,483,647/);
  });
});
