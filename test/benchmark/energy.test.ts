import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { EnergyMeter, energySentences } from '../../src/benchmark/energy/meter.js';
import { openGpuEnergy } from '../../src/benchmark/energy/nvml.js';
import { openRapl, unreadable } from '../../src/benchmark/energy/rapl.js';
import { measureLatency } from '../../src/benchmark/latency.js';
import { latencyPoints } from '../../src/benchmark/latency-points.js';
import { latencyMarkdown } from '../../src/benchmark/latency-report.js';
import { endless } from '../../src/benchmark/random-model.js';
import { trainingMarkdown, trainingRates } from '../../src/benchmark/training-report.js';
import { measureTraining } from '../../src/benchmark/training.js';
import { native } from '../../src/tensor/native.js';
import { FULL_HINT, tinyConfig } from '../inference/models.js';

const RANGE = 262_143_328_850;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-powercap-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Counts of zones, by their folder. */
const set = (zone: string, microjoules: number | string): Promise<void> =>
  writeFile(join(folder, zone, 'energy_uj'), `${microjoules}\n`);

async function addZone(zone: string, name: string, microjoules: number | string): Promise<void> {
  await mkdir(join(folder, zone), { recursive: true });
  await writeFile(join(folder, zone, 'name'), `${name}\n`);
  await writeFile(join(folder, zone, 'max_energy_range_uj'), `${RANGE}\n`);
  await set(zone, microjoules);
}

/** Two packages and memory, among zones that are parts and sums of these, and the same by another way. */
beforeEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await addZone('intel-rapl:0', 'package-0', 1_000_000);
  await addZone('intel-rapl:0:0', 'core', 400_000);
  await addZone('intel-rapl:0:1', 'dram', 5_000_000);
  await addZone('intel-rapl:1', 'package-1', RANGE - 500_000);
  await addZone('intel-rapl:2', 'psys', 9_000_000);
  await addZone('intel-rapl-mmio:0', 'package-0', 1_000_000);
  await addZone('dtpm', 'package-0', 1);
});

describe('the counters of RAPL', () => {
  it('are added up over packages and memory, and not over what is a part or a sum of these', async () => {
    const { counter } = await openRapl(folder);
    expect(counter!.name).toBe('CPU packages and memory');
    expect(await counter!.joules()).toBe(0);
    for (const [zone, value] of Object.entries({
      'intel-rapl:0': 3_000_000,
      'intel-rapl:0:0': 2_400_000,
      'intel-rapl:0:1': 5_250_000,
      'intel-rapl:2': 99_000_000,
      'intel-rapl-mmio:0': 3_000_000,
    }))
      await set(zone, value);
    expect(await counter!.joules()).toBeCloseTo(2.25, 9);
  });

  it('go on where one begins again at 0, as often as it does', async () => {
    const { counter } = await openRapl(folder);
    await set('intel-rapl:1', 250_000);
    expect(await counter!.joules()).toBeCloseTo(0.75, 9);
    await set('intel-rapl:1', 200_000_000_000);
    expect(await counter!.joules()).toBeCloseTo(200_000.5, 6);
    await set('intel-rapl:1', 0);
    expect(await counter!.joules()).toBeCloseTo((RANGE + 500_000) / 1e6, 6);
  });

  it('are of packages alone where memory has none', async () => {
    await rm(join(folder, 'intel-rapl:0:1'), { recursive: true });
    expect((await openRapl(folder)).counter!.name).toBe('CPU packages');
  });

  it.each([
    ['there is no folder', () => rm(folder, { recursive: true }), /there is no .*; virtual machines/],
    ['no package is counted', async () => {
      await rm(folder, { recursive: true });
      await addZone('intel-rapl:0', 'psys', 1);
    }, /has no zone of a processor package/],
    ['a counter is no number', () => set('intel-rapl:0', '-3'), /intel-rapl:0\/energy_uj holds "-3", which is no number/],
    ['a counter is a folder', async () => {
      await rm(join(folder, 'intel-rapl:1/energy_uj'));
      await mkdir(join(folder, 'intel-rapl:1/energy_uj'));
    }, /intel-rapl:1\/energy_uj cannot be read \(EISDIR\)/],
    ['its range is missing', () => rm(join(folder, 'intel-rapl:0/max_energy_range_uj')), /max_energy_range_uj cannot be read \(ENOENT\)/],
  ])('are not read where %s, which is said in a sentence', async (_, damage, why) => {
    await damage();
    const { counter, unread } = await openRapl(folder);
    expect(counter).toBeUndefined();
    expect(unread).toMatch(/^The energy of the CPU was not read: [^\n]*\.$/);
    expect(unread).toMatch(why);
  }); // prettier-ignore

  // Whoever is root, as tests may be, may read all files.
  it('that root alone may read are named with what allows it to others', () => {
    const { code, message } = unreadable('/sys/a/energy_uj', Object.assign(new Error(), { code: 'EACCES' }));
    expect(code).toBe('IO');
    expect(message).toContain('run as root, or allow it to all with "sudo chmod a+r /sys/a/energy_uj"');
  });
});

describe('the energy of a GPU', () => {
  it('is that since it was opened, of the GPU of that number', async () => {
    let joules = 5e9;
    const asked: number[] = [];
    const { counter } = openGpuEnergy('cuda:3', (gpu) => {
      asked.push(gpu);
      return { joules: (joules += 1.5), reason: '' };
    });
    expect(await counter!.joules()).toBe(1.5);
    expect(await counter!.joules()).toBe(3);
    expect(asked).toEqual([3, 3, 3]);
  });

  it('is left out with the reason where there is none', () => {
    expect(openGpuEnergy('cuda', () => ({ joules: 0, reason: 'NVML does not start' })).unread).toBe(
      'The energy of cuda was not read: NVML does not start.',
    );
    const found = native().gpuEnergy(1000);
    expect(found).toMatchObject({
      joules: 0,
      reason: expect.stringMatching(/CUDA|no GPU number 1000/) as string,
    });
    expect(() => native().gpuEnergy(-1)).toThrow(/gpu/);
  });
});

describe('a meter', () => {
  it('keeps what each sample took, and goes on without energy when a counter is lost', async () => {
    const meter = await EnergyMeter.open(['cpu'], folder);
    for (const added of [1_000_000, 2_000_000])
      await meter.during('one', () => set('intel-rapl:0', 1_000_000 + added));
    expect(meter.part).toMatchObject({ counters: ['CPU packages and memory'], unread: [] });
    expect(meter.part.joules['one']!.map((one) => one.toFixed(6))).toEqual(['1.000000', '1.000000']);
    expect(await meter.during('two', async () => rm(folder, { recursive: true }).then(() => 7))).toBe(7);
    expect(await meter.during('two', () => Promise.resolve(8))).toBe(8);
    expect(meter.part).toMatchObject({ counters: [], joules: {} });
    expect(energySentences(meter.part, '100 examples').join()).toMatch(
      /^Energy was not read to the end: .*ENOENT/,
    );
  });

  it('looks at counters within a long sample, so that none goes round twice unseen', async () => {
    vi.useFakeTimers();
    try {
      let reads = 0;
      const meter = new EnergyMeter([{ name: 'a counter', joules: () => Promise.resolve(++reads) }]);
      await meter.during('one', () => vi.advanceTimersByTimeAsync(150_000));
      // Before and after, and once a minute.
      expect(reads).toBe(4);
      await vi.advanceTimersByTimeAsync(150_000);
      expect(reads).toBe(4);
    } finally {
      vi.useRealTimers();
    }
  });

  it('fails with the sample, not with itself', async () => {
    const meter = await EnergyMeter.open(['cpu'], folder);
    await expect(meter.during('one', () => Promise.reject(new Error('the sample')))).rejects.toThrow(
      'the sample',
    );
    expect(meter.part.joules).toEqual({});
  });
});

describe('benches', () => {
  it('of latency scale joules as seconds, what is done once a task counted once', () => {
    const name = 'a system';
    const [point] = latencyPoints(
      { own: undefined as never },
      {
        cases: new Map([
          [name, { system: 'decoder', dtype: 'f32', shots: 0, inputTokens: 1, instructionTokens: 1 }],
        ]),
        samples: { [name]: [4, 10] },
        observations: new Map([[name, [2, 2].map((compileSeconds) => ({ compileSeconds, memoryBytes: 1 }))]]),
        energy: { counters: ['a counter'], unread: [], joules: { [name]: [40, 60] } },
        examples: 25,
      },
    );
    // 2 s and 8 s for 25 examples beside 2 s of compiling: 10 s and 34 s for 100, at 10 W and 6 W.
    expect(point).toMatchObject({ median: 22, joules: (100 + 204) / 2 });
  });

  it('of latency give joules of 100 examples, or say why they have none', async () => {
    const measure = (powercap: string) =>
      measureLatency({
        model: resolve(import.meta.dirname, '../fixtures/original/greedy'),
        ...{ adapterSize: 8, shots: [0], examples: 2, rounds: 2, dtypes: ['f32'], systems: ['t5'], powercap },
      });
    const part = await measure(folder);
    expect(part.energy).toMatchObject({ counters: ['CPU packages and memory'], unread: [] });
    expect(part.energy!.joules).toEqual({
      'engine t5 f32, no instruction': [0, 0],
      'engine t5 f32, 0 shots': [0, 0],
    });
    expect(part.points.map(({ joules }) => joules)).toEqual([0, 0]);
    expect(latencyMarkdown(part)).toContain('| J per 100 |');
    expect(latencyMarkdown(part)).toContain('Energy: of 100 examples, by CPU packages and memory');
    const none = await measure(join(folder, 'nowhere'));
    expect(none.points.every((point) => !('joules' in point))).toBe(true);
    expect(latencyMarkdown(none)).not.toContain('J per 100');
    expect(latencyMarkdown(none)).toContain('The energy of the CPU was not read: there is no');
  });

  it('of training count the measured steps, not the one that warms up', async () => {
    const part = await measureTraining({
      config: endless(tinyConfig(FULL_HINT)),
      ...{
        systems: ['t5'],
        batchSize: 4,
        tasks: 2,
        tokenBudget: 300,
        rounds: 2,
        threads: 1,
        powercap: folder,
      },
    });
    expect(part.energy!.joules).toEqual({ roof: [0, 0], t5: [0, 0] });
    const energy = { ...part.energy!, joules: { t5: [2, 4] } };
    expect(trainingRates({ ...part, energy })[0]!.joulesPer100).toBe(75);
    expect(trainingMarkdown({ ...part, energy })).toMatch(
      /\| J per 100 examples \|[^]*\| 75 \|[^]*Energy: of 100 examples/,
    );
    expect(trainingMarkdown(part)).toContain('| J per 100 examples |');
  });
});
