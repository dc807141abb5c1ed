import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/file.js';
import { RunDirectory, type DamagedCheckpoint } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import type { TrainingEvent } from '../../src/training/run/events.js';
import { CounterRng } from '../../src/util/counter-rng.js';
import { tinyRun } from './run-setup.js';

const ROUNDS = Number(process.env.HINT_TEST_ROUNDS ?? 20);

let scratch: string;
/** A finished run with the checkpoints of steps 4 and 6. */
let whole: string;
let output: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-damage-'));
  whole = join(scratch, 'whole');
  output = join(scratch, 'output');
  await trainFromConfig(tinyRun(whole));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));
beforeEach(async () => {
  await rm(output, { recursive: true, force: true });
  await cp(whole, output, { recursive: true });
});

const newest = (...names: string[]): string => join(output, 'checkpoints', 'step-6', ...names);
const FILES = ['config.json', 'model.safetensors', 'optimizer.safetensors', 'state.json'];

/** The step that a resume would go on from, and what it finds damaged. */
async function found(): Promise<{ step: number | undefined; damaged: DamagedCheckpoint[] }> {
  const damaged: DamagedCheckpoint[] = [];
  const checkpoint = await new RunDirectory(output).latestCheckpoint((one) => damaged.push(one));
  return { step: checkpoint?.step, damaged };
}

async function expectFallback(fault: RegExp): Promise<void> {
  expect(await found()).toEqual({
    step: 4,
    damaged: [{ step: 6, path: newest(), fault: expect.stringMatching(fault) as string }],
  });
}

/** Takes the checksums out of a state: what versions before them wrote. */
async function withoutChecksums(): Promise<void> {
  const { step, tokens, source, fingerprint } = JSON.parse(
    await readFile(newest('state.json'), 'utf8'),
  ) as Record<string, unknown>;
  await writeFile(newest('state.json'), JSON.stringify({ version: 2, step, tokens, source, fingerprint }));
}

describe('the newest checkpoint gives way to the one before it', () => {
  it.each(FILES)('whatever bit of %s has flipped', async (name) => {
    const bytes = await readFile(newest(name));
    const random = new CounterRng(7, 1, name.length);
    // Every part of the file: length and text of the header, and values up to the last.
    const places = [0, 1, 7, 8, 9, bytes.length - 1, Math.floor(bytes.length / 2)];
    for (let round = 0; round < ROUNDS; round++) places.push(random.below(bytes.length));
    for (const place of places) {
      const bit = 1 << random.below(8);
      const damaged = Buffer.from(bytes);
      damaged[place] = (damaged[place] as number) ^ bit;
      await writeFile(newest(name), damaged);
      const { step, damaged: told } = await found();
      expect([name, place, bit, step, told.length]).toEqual([name, place, bit, 4, 1]);
    }
  });

  it.each(FILES)('wherever %s is cut off, or when it has grown or is missing', async (name) => {
    const { length } = await readFile(newest(name));
    const random = new CounterRng(7, 2, name.length);
    const lengths = [0, 1, 7, 8, 9, length - 1, length + 1];
    for (let round = 0; round < ROUNDS; round++) lengths.push(random.below(length));
    for (const cut of lengths.sort((a, b) => b - a)) {
      await truncate(newest(name), cut);
      const { step } = await found();
      expect([name, cut, step]).toEqual([name, cut, 4]);
    }
    await rm(newest(name));
    await expectFallback(new RegExp(`^${name} is missing`));
    await mkdir(newest(name));
    expect((await found()).step).toBe(4);
  });

  it('when its state is that of another step', async () => {
    await cp(join(output, 'checkpoints', 'step-4'), newest(), { recursive: true });
    await expectFallback(/state\.json is that of step 4/);
  });

  it('also without checksums, when a file is missing, cut off or not JSON; it opens when it is whole', async () => {
    await withoutChecksums();
    expect(await found()).toEqual({ step: 6, damaged: [] });
    await writeFile(newest('config.json'), '{"d_model": ');
    await expectFallback(/not valid JSON/);
    await cp(join(whole, 'checkpoints', 'step-6', 'config.json'), newest('config.json'));
    await truncate(newest('optimizer.safetensors'), 10_000);
    await expectFallback(/truncated|bytes/);
    await rm(newest('optimizer.safetensors'));
    await expectFallback(/optimizer\.safetensors is missing/);
  });

  it.each([
    ['model.safetensors', NaN],
    ['optimizer.safetensors', NaN],
    ['optimizer.safetensors', -Infinity],
  ])('when %s holds %f, as no checksum tells', async (name, value) => {
    await withoutChecksums();
    const copy = join(scratch, 'copy.safetensors');
    {
      await using file = await openSafetensors(newest(name));
      const tensors = [...file.tensors.values()].map((tensor) => ({
        ...tensor,
        data: () => file.read(tensor.name),
      }));
      const last = tensors.at(-1)!;
      const changed = await last.data();
      new DataView(changed.buffer, changed.byteOffset).setFloat32(changed.byteLength - 4, value, true);
      await writeSafetensors(copy, [
        ...tensors.slice(0, -1),
        { ...last, data: () => Promise.resolve(changed) },
      ]);
    }
    await cp(copy, newest(name));
    await expectFallback(new RegExp(`holds ${value} at index`));
  });
});

describe('a resume', () => {
  const metrics = (): Promise<Buffer> => readFile(join(output, 'metrics.jsonl'));

  it('says that it passes a damaged checkpoint over, ends in the same bits, and keeps no damaged one', async () => {
    await truncate(newest('optimizer.safetensors'), 1000);
    const events: TrainingEvent[] = [];
    await trainFromConfig(tinyRun(output), { resume: true, onEvent: (event) => events.push(event) });
    const warnings = events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []));
    expect(warnings).toEqual([
      expect.stringMatching(/step-6 is damaged: optimizer\.safetensors has 1000 bytes.*goes on from step 4/),
    ]);
    for (const name of ['model.safetensors', 'optimizer.safetensors'])
      expect(
        (await readFile(newest(name))).equals(await readFile(join(whole, 'checkpoints', 'step-6', name))),
      ).toBe(true);
    expect((await readdir(join(output, 'checkpoints'))).sort()).toEqual(['step-4', 'step-6']);
    expect((await found()).step).toBe(6);
  });

  it('keeps as many intact checkpoints as asked for, damaged ones not counted', async () => {
    await rm(newest('state.json'));
    await trainFromConfig(tinyRun(output, { steps: 9, saveEvery: 9, keepCheckpoints: 2 }), { resume: true });
    expect((await readdir(join(output, 'checkpoints'))).sort()).toEqual(['step-4', 'step-9']);
  });

  it('is refused when every checkpoint is damaged, naming them, and changes nothing', async () => {
    const before = await metrics();
    await rm(newest('model.safetensors'));
    await writeFile(join(output, 'checkpoints', 'step-4', 'state.json'), '{}');
    await expect(trainFromConfig(tinyRun(output), { resume: true })).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(
        /every checkpoint in it is damaged.*another output directory.*step-6: model\.safetensors is missing.*step-4: state\.json/,
      ),
    });
    expect(await metrics()).toEqual(before);
    expect((await readdir(join(output, 'checkpoints'))).sort()).toEqual(['step-4', 'step-6']);
  });

  it('is refused when the checkpoints are gone but the metrics say that there were some', async () => {
    const before = await metrics();
    await rm(join(output, 'checkpoints'), { recursive: true });
    await expect(trainFromConfig(tinyRun(output), { resume: true })).rejects.toMatchObject({
      code: 'INVALID_CHECKPOINT',
      message: expect.stringMatching(/has no checkpoint, though its metrics reach step 6/),
    });
    expect(await metrics()).toEqual(before);
  });

  it('of a run that was killed before its first checkpoint begins anew', async () => {
    await rm(join(output, 'checkpoints'), { recursive: true });
    const lines = (await metrics()).toString().split('\n');
    await writeFile(join(output, 'metrics.jsonl'), `${lines[0]}\n${lines[1]}\n`);
    expect(await trainFromConfig(tinyRun(output), { resume: true })).toMatchObject({ step: 6 });
    expect(await new RunDirectory(output).readMetrics()).toHaveLength(6);
  });
});

describe('lines of metrics.jsonl that are none', () => {
  const BAD = ['{"step": 99, "lo', 'null', '[1]', '{}', '{"step": "7", "loss": 1}', '\u0000\u0001', '12'];

  it('are passed over when read, and stay byte for byte when lines are dropped and added', async () => {
    const path = join(output, 'metrics.jsonl');
    const good = (await readFile(path, 'utf8')).trim().split('\n');
    const binary = Buffer.from([0xff, 0xfe, 0x00, 0x0d, 0x0a]);
    const mixed = Buffer.concat([
      ...good.flatMap((line, i) => [Buffer.from(`${line}\n${BAD[i]}\n`)]),
      binary,
      Buffer.from('{"torn'),
    ]);
    await writeFile(path, mixed);
    const run = new RunDirectory(output);
    expect((await run.readMetrics()).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    await run.truncateMetrics(6);
    expect(await readFile(path)).toEqual(mixed);
    await trainFromConfig(tinyRun(output, { steps: 7 }), { resume: true });
    const after = await readFile(path);
    expect(after.subarray(0, mixed.length)).toEqual(mixed);
    expect(after[mixed.length]).toBe(0x0a);
    expect((await run.readMetrics()).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    await run.truncateMetrics(2);
    expect((await run.readMetrics()).map(({ step }) => step)).toEqual([1, 2]);
    for (const line of BAD.slice(0, 6)) expect(await readFile(path, 'latin1')).toContain(line);
    expect((await readFile(path)).includes(binary)).toBe(true);
  });

  it('cannot be read: an error instead of an empty log that is written over', async () => {
    const path = join(output, 'metrics.jsonl');
    await rm(path);
    await symlink('metrics.jsonl', path);
    await expect(trainFromConfig(tinyRun(output), { resume: true })).rejects.toMatchObject({ code: 'IO' });
  });
});
