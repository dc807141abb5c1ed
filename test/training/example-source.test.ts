import { afterAll, describe, expect, it } from 'vitest';
import type { TokenizedExample } from '../../src/data/batch.js';
import { throwIfAborted } from '../../src/util/errors.js';
import { Device } from '../../src/tensor/device.js';
import {
  PoolSource,
  type ExampleSource,
  type SourceState,
} from '../../src/training/sources/example-source.js';
import { Trainer, type StepReport } from '../../src/training/step/trainer.js';
import { SETTINGS, tinyPool, tinyTrainer, valuesOf } from './tiny.js';

const device = new Device({ threads: 1 });
afterAll(() => device.close());

/** A stream without end: examples are made when they are asked for, and reading takes its time. */
class Counting implements ExampleSource {
  readonly fingerprint = 'counting';
  readonly size = undefined;
  private drawn = 0;
  private readonly pool = tinyPool();

  constructor(private readonly onNext: (call: number) => void = () => undefined) {}

  get state(): SourceState {
    return { drawn: this.drawn };
  }

  async next(count: number, signal?: AbortSignal): Promise<TokenizedExample[]> {
    const first = this.drawn;
    this.drawn += count;
    this.onNext(first / count);
    await new Promise((resolve) => setImmediate(resolve));
    throwIfAborted(signal);
    return Array.from({ length: count }, (_, i) => this.pool[(first + 5 * i) % this.pool.length]!);
  }

  async restore(state: SourceState): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.drawn = (state as { drawn: number }).drawn;
  }
}

function trainerOn(source: ExampleSource, steps: number) {
  const { model, optimizer } = tinyTrainer(device);
  const schedule = { ...SETTINGS.schedule, steps };
  return { model, trainer: new Trainer({ model, source, optimizer }, { ...SETTINGS, schedule }) };
}

async function lossesOf(trainer: Trainer, signal?: AbortSignal): Promise<number[]> {
  const reports: StepReport[] = [];
  for await (const report of trainer.steps({ signal })) reports.push(report);
  return reports.map(({ loss }) => loss);
}

describe('a stream as a source', () => {
  it('is put back when a step is aborted while it reads, and the run goes on as if nothing had been', async () => {
    const whole = trainerOn(new Counting(), 5);
    const expected = await lossesOf(whole.trainer);
    const controller = new AbortController();
    const source = new Counting((call) => {
      if (call === 3) controller.abort();
    });
    const { model, trainer } = trainerOn(source, 5);
    await expect(lossesOf(trainer, controller.signal)).rejects.toMatchObject({ code: 'ABORTED' });
    expect(trainer.state).toMatchObject({ step: 3, source: { drawn: 3 * SETTINGS.batchSize } });
    expect(await lossesOf(trainer)).toEqual(expected.slice(3));
    expect(await valuesOf(model)).toEqual(await valuesOf(whole.model));
  });

  it('that fails ends training with its error, at the step before', async () => {
    const source = new Counting((call) => {
      if (call === 2) throw new Error('the disk is gone');
    });
    const { trainer } = trainerOn(source, 5);
    await expect(lossesOf(trainer)).rejects.toThrow('the disk is gone');
    expect(trainer.state).toMatchObject({ step: 2, source: { drawn: 2 * SETTINGS.batchSize } });
  });
});

describe('PoolSource', () => {
  it('goes on from a state that went through JSON', async () => {
    const source = new PoolSource(tinyPool(), 3, 'tiny');
    await source.next(31);
    const state = JSON.parse(JSON.stringify(source.state)) as SourceState;
    const resumed = new PoolSource(tinyPool(), 3, 'tiny');
    resumed.restore(state);
    const ids = (examples: readonly TokenizedExample[]) => examples.map(({ id }) => id);
    expect(ids(await resumed.next(40))).toEqual(ids(await source.next(40)));
    expect(resumed.size).toBe(48);
  });

  it('names its content: another example, order or cut between input and target is another name', async () => {
    const name = async (pool: TokenizedExample[]) => (await PoolSource.of(pool, 0)).fingerprint;
    const [first, second] = tinyPool(2) as [TokenizedExample, TokenizedExample];
    const { input, target } = first;
    const moved = { ...first, input: Int32Array.of(...input, target[0]!), target: target.slice(1) };
    const names = await Promise.all([
      name([first, second]),
      name([second, first]),
      name([first]),
      name([moved, second]),
    ]);
    expect(new Set(names).size).toBe(4);
    expect(await name(tinyPool(2))).toBe(names[0]);
  });

  it('refuses the state of another kind of source', () => {
    const source = new PoolSource(tinyPool(), 3, 'tiny');
    for (const state of [{ file: 3, byte: 7 }, null, { epoch: 0, position: 99 }]) {
      expect(() => source.restore(state)).toThrow(expect.objectContaining({ code: 'INVALID_CHECKPOINT' }));
    }
  });
});
