import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { convertCheckpoint, openWeights, readModelConfig } from '../../src/index.js';

const fixtures = resolve(import.meta.dirname, '..', 'fixtures', 'weights');
const t5 = join(fixtures, 't5');

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-convert-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** A model directory of a torch file of the fixtures, with a tokenizer that nobody reads. */
async function torchModel(file = 'zip.bin'): Promise<string> {
  const model = join(directory, 'torch');
  await mkdir(model);
  await cp(join(fixtures, 'torch', file), join(model, 'pytorch_model.bin'));
  await cp(join(t5, 'flax', 'config.json'), join(model, 'config.json'));
  await writeFile(join(model, 'spiece.model'), 'pieces');
  await writeFile(join(model, 'notes.txt'), 'not of the model');
  return model;
}

const destination = (): string => join(directory, 'converted');

describe('a converted checkpoint', () => {
  it.each(['flax', 'flax-shards', 't5x', 't5x/checkpoint_1000', 't5x-bf16'])(
    'of %s has every bit and a config.json',
    async (name) => {
      const done = await convertCheckpoint(join(t5, name), destination(), { check: true });
      expect(done.tensors?.map(({ outcome }) => outcome)).toEqual(done.tensors?.map(() => 'same'));
      expect(done.tensors?.length).toBeGreaterThan(30);
      expect((await readdir(destination())).sort()).toEqual(['config.json', 'model.safetensors']);
      expect(await readModelConfig(destination())).toEqual(await readModelConfig(join(t5, name)));
    },
  );

  it.each(['zip.bin', 'legacy.bin', 'state_dict.bin'])(
    'of %s keeps all element types, and takes the tokenizer along',
    async (name) => {
      const source = await torchModel(name);
      const done = await convertCheckpoint(source, destination(), { check: true });
      expect(done.tensors?.every(({ outcome }) => outcome === 'same')).toBe(true);
      expect(new Set(done.tensors?.map(({ dtype }) => dtype)).size).toBeGreaterThan(8);
      expect(done.files).toEqual(['model.safetensors', 'config.json', 'spiece.model']);
      expect((await readdir(directory)).sort()).toEqual(['converted', 'torch']);
      expect(await readFile(join(destination(), 'spiece.model'), 'utf8')).toBe('pieces');
    },
  );

  it('is cut into shards with an index that opens as one', async () => {
    const source = join(t5, 'flax');
    const done = await convertCheckpoint(source, destination(), { check: true, shardBytes: 2000 });
    expect(done.files.length).toBeGreaterThan(4);
    expect(done.files[0]).toMatch(/^model-00001-of-\d{5}\.safetensors$/);
    expect(done.tensors?.every(({ outcome }) => outcome === 'same')).toBe(true);
    await using file = await openWeights(destination());
    expect(file.tensors.size).toBe(done.tensors?.length);
  });

  it('goes on where it was ended, and keeps no file that is not as it should be', async () => {
    const source = join(t5, 'flax');
    const ending = new AbortController();
    const onProgress = (count: number): void => {
      if (count === 12) ending.abort();
    };
    const options = { shardBytes: 1500, signal: ending.signal, onProgress };
    await expect(convertCheckpoint(source, destination(), options)).rejects.toMatchObject({
      code: 'ABORTED',
    });
    const partial = `${destination()}.converting`;
    const shards = (await readdir(partial)).filter((name) => name.endsWith('.safetensors')).sort();
    expect(shards.length).toBeGreaterThan(1);
    expect(await readdir(directory)).toEqual(['converted.converting']);
    const damaged = await readFile(join(partial, shards[0]!));
    damaged[damaged.length - 1]! ^= 1;
    await writeFile(join(partial, shards[0]!), damaged);
    const done = await convertCheckpoint(source, destination(), { shardBytes: 1500, check: true });
    expect(done.kept).toBe(shards.length - 1);
    expect(done.tensors?.every(({ outcome }) => outcome === 'same')).toBe(true);
    expect(await readdir(directory)).toEqual(['converted']);
  });

  it('is written by one at a time: whoever comes meanwhile is refused before anything is written', async () => {
    const source = join(t5, 'flax');
    const options = { shardBytes: 1500, check: true };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 3 }, () => convertCheckpoint(source, destination(), options)),
    );
    const done = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(done.filter(({ existed }) => !existed)).toHaveLength(1);
    const differing = done.flatMap(({ tensors = [] }) => tensors.filter(({ outcome }) => outcome !== 'same'));
    expect(differing).toEqual([]);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({
          code: 'INVALID_ARGUMENT',
          message: expect.stringMatching(
            /has been converting into .*; wait for it, stop it, or give another destination|has just written/,
          ),
        });
    expect(await readdir(directory)).toEqual(['converted']);
    await expect(convertCheckpoint(source, destination(), options)).resolves.toMatchObject({ existed: true });
  });

  it('that another process is writing is left alone, and so are its files', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(other, 'spawn');
    try {
      const owner = { pid: other.pid, host: hostname(), processStart: null, since: '2026-01-01T00:00:00Z' };
      await writeFile(`${destination()}.converting.lock`, JSON.stringify(owner));
      await expect(convertCheckpoint(join(t5, 'flax'), destination())).rejects.toThrow(
        `Process ${other.pid} has been converting into`,
      );
      expect(await readdir(directory)).toEqual(['converted.converting.lock']);
    } finally {
      other.kill('SIGKILL');
      await once(other, 'exit');
    }
    await convertCheckpoint(join(t5, 'flax'), destination());
    expect(await readdir(directory)).toEqual(['converted']);
  });

  it('that is there already is compared, and never written over', async () => {
    const source = join(t5, 'flax');
    await convertCheckpoint(source, destination());
    expect(await convertCheckpoint(source, destination())).toMatchObject({ existed: true });
    const path = join(destination(), 'model.safetensors');
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    await expect(convertCheckpoint(source, destination())).rejects.toThrow(/does not hold the tensors of/);
    const { tensors } = await convertCheckpoint(source, destination(), { check: true });
    expect(tensors?.filter(({ outcome }) => outcome === 'differs')).toHaveLength(1);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  it('is not made in a place that holds something else', async () => {
    const source = join(t5, 'flax');
    await mkdir(destination());
    await convertCheckpoint(source, destination());
    await rm(destination(), { recursive: true });
    await writeFile(destination(), 'a file');
    await expect(convertCheckpoint(source, destination())).rejects.toThrow(
      /is a file; give the name of a new folder/,
    );
    await rm(destination());
    await mkdir(destination());
    await writeFile(join(destination(), 'mine'), '');
    await expect(convertCheckpoint(source, destination())).rejects.toThrow(
      /holds no model that can be compared/,
    );
    await expect(convertCheckpoint(source, source)).rejects.toThrow(/is the source itself/);
    expect(await readdir(destination())).toEqual(['mine']);
  });

  it('has no pointer of Git LFS in the place of a tokenizer', async () => {
    const source = await torchModel();
    await writeFile(join(source, 'spiece.model'), 'version https://git-lfs.github.com/spec/v1\nsize 5\n');
    await expect(convertCheckpoint(source, destination())).rejects.toThrow(
      /spiece.model is a Git LFS pointer and not the tokenizer; fetch it/,
    );
    await expect(readdir(destination())).rejects.toThrow(/ENOENT/);
  });

  it('needs a config.json where the source is of a form that has one', async () => {
    const source = await torchModel();
    await rm(join(source, 'config.json'));
    await expect(convertCheckpoint(source, destination())).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await readdir(directory)).toEqual(['torch']);
  });
});
