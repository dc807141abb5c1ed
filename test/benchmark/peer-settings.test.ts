import { describe, expect, it } from 'vitest';
import {
  findSetting,
  MEMORY_ENVIRONMENT,
  peerBatches,
  peerMemories,
  settingWords,
  type PeerSetting,
  type PeerVariant,
  type SettingSpace,
} from '../../src/benchmark/peer-settings.js';
import { cTranslate2Kind, huggingFaceKind } from '../../src/benchmark/peer-kinds.js';
import { trainingSpace } from '../../src/benchmark/training-peers.js';
import type { TrainingMeasurementOptions } from '../../src/benchmark/training-run.js';
import { HintError } from '../../src/util/errors.js';
import { tinyConfig } from '../inference/models.js';

const SDPA = { name: 'sdpa', request: { attention: 'sdpa' } };
const EAGER = { name: 'eager', request: { attention: 'eager' } };
const SPACE: SettingSpace = {
  batches: peerBatches(100),
  memories: ['kept', 'system'],
  variants: [SDPA, EAGER],
};

/** A peer whose seconds an input are given; keeps what it was asked for. */
function peer(secondsOf: (setting: PeerSetting) => number) {
  const asked: (PeerSetting & { rows: number })[] = [];
  return {
    asked,
    trial: async (setting: PeerSetting, rows: number): Promise<number> => {
      asked.push({ ...setting, rows });
      return Promise.resolve(rows * secondsOf(setting));
    },
  };
}

describe('the best setting of a peer', () => {
  it('is found wherever it lies: small batches, large ones, other memory, other attention', async () => {
    for (const batch of SPACE.batches)
      for (const memory of SPACE.memories)
        for (const variant of SPACE.variants) {
          const { trial } = peer(
            (setting) =>
              1 +
              0.05 * Math.abs(SPACE.batches.indexOf(setting.batch) - SPACE.batches.indexOf(batch)) +
              0.1 * Number(setting.memory !== memory) +
              0.01 * Number(setting.variant !== variant),
          );
          const found = await findSetting(SPACE, 100, trial);
          expect([found.batch, found.memory, found.variant]).toEqual([batch, memory, variant]);
        }
  });

  it('is chosen by all inputs, not by a short trial that flatters', async () => {
    const rowsOf = new Map<number, number>();
    const found = await findSetting(
      { ...SPACE, variants: [SDPA], memories: ['system'] },
      100,
      async ({ batch }, rows) => {
        rowsOf.set(batch, rows);
        const seconds = { 4: rows < 100 ? 1 : 3, 8: 2 }[batch] ?? 5;
        return Promise.resolve(rows * seconds);
      },
    );
    expect(found.batch).toBe(8);
    expect([rowsOf.get(4), rowsOf.get(8), rowsOf.get(16)]).toEqual([100, 100, 16]);
  });

  it('costs less than the measurement: large batches are not tried behind one that is far slower', async () => {
    const { asked, trial } = peer(({ batch }) => 1 + batch);
    const found = await findSetting(SPACE, 100, trial);
    expect(found.batch).toBe(1);
    expect(Math.max(...asked.map(({ batch }) => batch))).toBe(4);
    const all = peer(() => 1);
    await findSetting(SPACE, 100, all.trial);
    expect(all.asked.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThan(8 * 100);
  });

  it('is one that works: what the peer refuses or dies of is left out, and said', async () => {
    const found = await findSetting(SPACE, 100, async ({ memory, variant, batch }, rows) => {
      if (memory === 'kept' || batch > 8) throw new HintError('NOT_SUPPORTED', 'no memory left');
      return Promise.resolve(variant === EAGER ? rows : 2 * rows);
    });
    expect(found).toMatchObject({ memory: 'system', variant: EAGER });
    expect(found.failed[0]).toContain('glibc told to keep memory in huge pages, sdpa: no memory left');
    const nothing = findSetting(SPACE, 100, () => Promise.reject(new HintError('NOT_SUPPORTED', 'broken')));
    await expect(nothing).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringContaining('broken') as string,
    });
    const fault = findSetting(SPACE, 100, () => Promise.reject(new TypeError('a fault of ours')));
    await expect(fault).rejects.toThrow('a fault of ours');
    const stopped = AbortSignal.abort();
    await expect(findSetting(SPACE, 100, peer(() => 1).trial, { signal: stopped })).rejects.toMatchObject({ code: 'ABORTED' }); // prettier-ignore
  });

  it('is found where the first variant does not exist at all, as in older versions of a peer', async () => {
    const found = await findSetting(SPACE, 100, async ({ variant, batch }, rows) => {
      if (variant === SDPA) throw new HintError('NOT_SUPPORTED', 'no such attention');
      return Promise.resolve(rows * (batch === 16 ? 1 : 1.5));
    });
    expect(found).toMatchObject({ batch: 16, variant: EAGER });
  });

  it('is compiled only where that was best and pays', async () => {
    const dearVariants = ({ name, request }: PeerVariant) => [
      { name: `${name}, compiled`, request: { ...request, compile: true } },
    ];
    for (const [pays, name] of [
      [0.5, 'eager, compiled'],
      [2, 'eager'],
    ] as const) {
      const { asked, trial } = peer(
        ({ variant }) =>
          (variant.name.startsWith('eager') ? 1 : 1.5) * ('compile' in variant.request ? pays : 1),
      );
      const found = await findSetting({ ...SPACE, dearVariants }, 16, trial);
      expect(found.variant.name).toBe(name);
      expect(new Set(asked.map(({ variant }) => variant.name)).size).toBe(3);
    }
  });
});

describe('what peers are tried with', () => {
  const place = { config: tinyConfig(null), threads: 2, device: 'cpu' };

  it('batches from one input to all of them', () => {
    expect(peerBatches(100)).toEqual([1, 2, 4, 8, 16, 25, 50, 100]);
    expect(peerBatches(300)).toEqual([1, 2, 4, 8, 16, 25, 50, 100]);
    expect(peerBatches(20)).toEqual([1, 2, 4, 8, 16, 20]);
    expect(peerBatches(1)).toEqual([1]);
  });

  it('both kinds of memory where glibc may be, one on a GPU', () => {
    expect(peerMemories('cpu')).toEqual(process.platform === 'linux' ? ['kept', 'system'] : ['system']);
    expect(peerMemories('cuda:1')).toEqual(['system']);
    expect(Object.keys(MEMORY_ENVIRONMENT.kept)).toEqual(['MALLOC_ARENA_MAX', 'MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_', 'GLIBC_TUNABLES']); // prettier-ignore
  });

  it('Hugging Face: both kinds of attention; bf16 as weights and as products', () => {
    const names = (dtype: 'f32' | 'bf16') =>
      huggingFaceKind(place)
        .space(dtype, 100)
        .variants.map(({ name }) => name);
    expect(names('f32')).toEqual(['sdpa attention', 'eager attention']);
    expect(names('bf16')).toEqual(['sdpa', 'eager'].flatMap((kind) => [`${kind} attention, bf16 weights`, `${kind} attention, bf16 autocast`])); // prettier-ignore
  });

  it('CTranslate2: its threads in one batch and a batch each', () => {
    const requests = (threads: number) =>
      cTranslate2Kind({ ...place, threads })
        .space('int8', 100)
        .variants.map(({ request }) => request);
    expect(requests(2)).toEqual([{ parallel: false }, { parallel: true }]);
    expect(requests(1)).toEqual([{ parallel: false }]);
  });

  it('training: what the caller named is not overridden, all else is tried', () => {
    const options = { batchSize: 16 } as TrainingMeasurementOptions;
    const free = trainingSpace('hf', options);
    expect(free.batches).toEqual([1, 2, 4, 8, 16]);
    expect(free.variants.map(({ request }) => request['autocast'])).toEqual([null, 'bf16', null, 'bf16']);
    expect(free.dearVariants?.(free.variants[1] as PeerVariant)[0]?.request).toMatchObject({ compile: true, autocast: 'bf16' }); // prettier-ignore
    const told = trainingSpace('hf', { ...options, peerBatch: 4, autocast: 'bf16' });
    expect(told.batches).toEqual([4]);
    expect(new Set(told.variants.map(({ request }) => request['autocast']))).toEqual(new Set(['bf16']));
    expect(trainingSpace('hint-torch', options).dearVariants).toBeUndefined();
  });

  it('a setting is said in words that tell it from every other', () => {
    const words = SPACE.memories.flatMap((memory) => SPACE.variants.map((variant) => settingWords({ batch: 8, memory, variant }))); // prettier-ignore
    expect(new Set(words).size).toBe(4);
    expect(words[0]).toBe('batches of 8, glibc told to keep memory in huge pages, sdpa');
  });
});
