import { mkdtemp, readdir, readFile, readlink, rm, writeFile, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { downloadedModel, HubCache } from '../../../src/formats/hub/cache.js';
import { copyDownloaded } from '../../../src/formats/hub/copy.js';
import { downloadModel, type DownloadOptions, type DownloadPlan } from '../../../src/formats/hub/download.js';
import { HintError } from '../../../src/util/errors.js';
import { COMMIT, startHub, type HubBehaviour, type TestHub } from './hub-server.js';

const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) & 255));
const FILES: Record<string, Buffer> = {
  'README.md': Buffer.from('Not needed.'),
  'config.json': Buffer.from('{"model_type":"t5"}'),
  'model.safetensors': WEIGHTS,
  'pytorch_model.bin': Buffer.from('The same weights in another form.'),
  'onnx/model.onnx': Buffer.from('Not needed.'),
  'spiece.model': Buffer.from('pieces'),
  'tf_model.h5': Buffer.from('Not needed.'),
};

let folder: string, hub: TestHub | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-hub-'));
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'])
    vi.stubEnv(name, undefined);
  vi.stubEnv('HF_HOME', join(folder, 'home'));
  vi.stubEnv('HF_HUB_CACHE', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub?.close();
  hub = undefined;
  await rm(folder, { recursive: true, force: true });
});

async function start(behaviour: Partial<HubBehaviour> = {}): Promise<TestHub> {
  hub = await startHub({ files: FILES, ...behaviour });
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  return hub;
}

const download = (name = 'google/tiny', options: DownloadOptions = {}): ReturnType<typeof downloadModel> =>
  downloadModel(name, { access: { retryMilliseconds: 1 }, ...options });

async function refused(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HintError);
  const { code, message } = error as HintError;
  return `${code}: ${message}`;
}

const asked = (name: string): string[] =>
  (hub?.requests ?? []).filter(({ path }) => path.endsWith(name)).map(({ range }) => range ?? 'all');

describe('downloading a model', () => {
  it('brings what a model needs, once, into the layout that Python reads', async () => {
    await start();
    const { folder: found, commit } = await download();
    expect(commit).toBe(COMMIT);
    expect((await readdir(found)).sort()).toEqual(['config.json', 'model.safetensors', 'spiece.model']);
    expect(await readFile(join(found, 'model.safetensors'))).toEqual(WEIGHTS);
    expect(await readlink(join(found, 'model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(await readlink(join(found, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    const cache = new HubCache('google/tiny');
    expect(await readFile(join(cache.folder, 'refs/main'), 'utf8')).toBe(COMMIT);
    const before = hub?.requests.length ?? 0;
    expect((await download()).folder).toBe(found);
    expect(hub?.requests.slice(before).some(({ path }) => path.includes('/resolve/'))).toBe(false);
    expect(downloadedModel('google/tiny')).toBe(found);
    expect(downloadedModel('google/tiny@main')).toBe(found);
    expect(downloadedModel('google/other')).toBeUndefined();
    expect(downloadedModel('../../etc/x')).toBeUndefined();
  });

  it('goes on where a connection was cut, and where an earlier process was killed', async () => {
    await start({ cuts: [100_000, 50_000], onOtherHost: (path) => path.endsWith('.safetensors') });
    const { folder: found } = await download();
    expect(await readFile(join(found, 'model.safetensors'))).toEqual(WEIGHTS);
    const ranges = hub?.requests.filter(({ host }) => host === 'cdn').map(({ range }) => range ?? 'all');
    expect(ranges).toEqual(['all', 'bytes=100000-', 'bytes=150000-']);

    const cache = new HubCache('google/tiny', join(folder, 'killed'));
    const file = (await download('google/tiny')).files.find(({ path }) => path.endsWith('.safetensors'));
    if (!file) throw new Error('The weights are among the files.');
    await mkdir(join(cache.folder, 'blobs'), { recursive: true });
    await writeFile(`${cache.blob(file)}.incomplete`, WEIGHTS.subarray(0, 299_999));
    let missing: number | undefined;
    const onPlan = ({ missingBytes }: DownloadPlan): void => void (missing = missingBytes);
    await download('google/tiny', { cache: join(folder, 'killed'), onPlan });
    // One byte of the weights, and the two small files.
    expect(missing).toBe(1 + (FILES['config.json']?.length ?? 0) + (FILES['spiece.model']?.length ?? 0));
    expect(hub?.requests.filter(({ host }) => host === 'cdn').at(-1)?.range).toBe('bytes=299999-');
    expect(await readFile(cache.blob(file))).toEqual(WEIGHTS);
  });

  it('begins anew where the server knows no ranges, and where an earlier part is not of this file', async () => {
    await start({ cuts: [100_000], ignoresRanges: true });
    const { files, folder: found } = await download();
    expect(await readFile(join(found, 'model.safetensors'))).toEqual(WEIGHTS);
    const file = files.find(({ path }) => path.endsWith('.safetensors'));
    if (!file || !hub) throw new Error('The weights are among the files.');
    hub.behaviour.ignoresRanges = false;
    const cache = new HubCache('google/tiny', join(folder, 'other'));
    await mkdir(join(cache.folder, 'blobs'), { recursive: true });
    await writeFile(`${cache.blob(file)}.incomplete`, Buffer.alloc(1000));
    expect(await refused(download('google/tiny', { cache: join(folder, 'other') }))).toMatch(
      /^INVALID_FILE.*checksum/,
    );
    // The part that spoilt it is gone.
    await download('google/tiny', { cache: join(folder, 'other') });
    expect(await readFile(cache.blob(file))).toEqual(WEIGHTS);
  });

  it('refuses bytes that are not those announced, and keeps nothing of them', async () => {
    await start({ spoils: true });
    expect(await refused(download())).toMatch(
      /^INVALID_FILE: google\/tiny\/config.json did not come as the hub has it/,
    );
    expect(await readdir(join(new HubCache('google/tiny').folder, 'blobs'))).toEqual([]);
    expect(downloadedModel('google/tiny')).toBeUndefined();
  });

  it('tries again after 503 and 429, and says so when it does not end', async () => {
    await start({ refusals: [{ status: 503 }, { status: 429, headers: { 'retry-after': '0' } }] });
    await download();
    if (hub) hub.behaviour.refusals = Array.from({ length: 9 }, () => ({ status: 502 }));
    expect(await refused(download('google/tiny', { revision: COMMIT }))).toMatch(
      /^IO.*5 attempts: the server answers 502/,
    );
  });

  it('says that a hub cannot be reached, and ends when one falls silent', async () => {
    const { endpoint, close } = await startHub({ files: FILES });
    await close();
    vi.stubEnv('HF_ENDPOINT', endpoint);
    expect(await refused(download())).toMatch(
      /^IO: google\/tiny at main could not be read from http.*--offline/,
    );
    const silent = await start({ cuts: [] });
    silent.behaviour.cuts = [10];
    silent.behaviour.files = { ...FILES, 'model.safetensors': WEIGHTS };
    const controller = new AbortController();
    const waiting = refused(
      download('google/tiny', { signal: controller.signal, access: { retryMilliseconds: 60_000 } }),
    );
    setTimeout(() => controller.abort(), 200);
    expect(await waiting).toMatch(/^ABORTED/);
  });
});

it('a server without ranges that is always cut off at the same place is given up', async () => {
  await start({ cuts: Array.from({ length: 50 }, () => 1000), ignoresRanges: true });
  expect(await refused(download())).toMatch(
    /^IO.*in 5 attempts: the connection ended after 1000 of 300000 bytes|^IO.*in 5 attempts/,
  );
  expect(hub?.behaviour.cuts?.length).toBeGreaterThan(40);
});

it('a listing whose pages do not end is refused', async () => {
  await start({ pagesWithoutEnd: true });
  expect(await refused(download())).toMatch(/^IO.*at most 1000 pages/);
});

it('a snapshot is found offline by its commit only when all of its files came', async () => {
  await start({ cuts: Array.from({ length: 5 }, () => 0), ignoresRanges: true });
  await refused(download('google/tiny', { revision: COMMIT }));
  expect(await refused(download('google/tiny', { revision: COMMIT, offline: true }))).toMatch(/^NOT_FOUND/);
  await download('google/tiny', { revision: COMMIT });
  expect((await download('google/tiny', { revision: COMMIT, offline: true })).commit).toBe(COMMIT);
});

describe('who may read what', () => {
  it('a token goes to the hub and to no other host', async () => {
    await start({ token: 'hf_secret', onOtherHost: (path) => path.endsWith('.safetensors') });
    expect(await refused(download())).toMatch(
      /^NOT_FOUND: google\/tiny at main does not exist, or is private/,
    );
    await download('google/tiny', { token: 'hf_secret' });
    const toHub = hub?.requests.filter(({ host, token }) => host === 'hub' && token === 'Bearer hf_secret');
    expect(toHub?.length).toBeGreaterThan(3);
    const toOthers = hub?.requests.filter(({ host }) => host === 'cdn');
    expect(toOthers).toEqual([expect.objectContaining({ token: undefined })]);
  });

  it('tokens come from HF_TOKEN and from the file of a login', async () => {
    await start({ token: 'hf_secret' });
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    await download();
    vi.stubEnv('HF_TOKEN', undefined);
    await mkdir(join(folder, 'home'));
    await writeFile(join(folder, 'home/token'), 'hf_secret\n');
    await download('google/tiny', { cache: join(folder, 'second') });
  });

  it('gated, missing and unknown each say what to do', async () => {
    await start({ refusals: [{ status: 403, headers: { 'x-error-code': 'GatedRepo' } }] });
    expect(await refused(download())).toMatch(/^NOT_FOUND: google\/tiny at main is gated: ask for access at/);
    expect(await refused(download('google/none'))).toMatch(
      /^NOT_FOUND: google\/none at main does not exist on/,
    );
    expect(await refused(download('google/tiny', { revision: 'v2' }))).toMatch(
      /^NOT_FOUND.*no such revision/,
    );
    for (const name of ['', 'a/b/c', '../x', 'google/..', 'https://huggingface.co/google/tiny', 'a b'])
      expect(await refused(download(name))).toMatch(/^INVALID_ARGUMENT/);
    expect(await refused(download('google/tiny', { revision: '../../x' }))).toMatch(/^INVALID_ARGUMENT/);
    expect((await download('google/moved')).commit).toBe(COMMIT);
  });

  it('a redirect to a file, or from https to http, is not followed', async () => {
    await start({ redirectTo: 'file:///etc/passwd' });
    expect(await refused(download())).toMatch(/^IO.*redirects to "file:/);
  });
});

describe('an answer that is not the hub’s', () => {
  it.each([
    ['../../escape', (path: string) => ({ path })],
    ['/etc/passwd', (path: string) => ({ path })],
    ['a\\b', (path: string) => ({ path })],
    ['a\0b', (path: string) => ({ path })],
    ['../../../x', (oid: string) => ({ oid, lfs: undefined })],
    ['-5', (size: string) => ({ size: Number(size), lfs: undefined })],
  ])('a file name, checksum or size such as %j leaves no folder', async (value, change) => {
    await start({ listing: (entry) => ({ ...entry, ...change(value) }) });
    expect(await refused(download())).toMatch(/^IO: google\/tiny at main: the hub's answer should have/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('a page of HTML is refused', async () => {
    await start({ refusals: [{ status: 200, headers: { 'content-type': 'text/html' } }] });
    expect(await refused(download())).toMatch(/^IO.*check that HF_ENDPOINT is a hub/);
  });

  it('an endpoint that is no address is refused before anything is asked', async () => {
    vi.stubEnv('HF_ENDPOINT', 'not an address');
    expect(await refused(download())).toMatch(/^INVALID_ARGUMENT: HF_ENDPOINT is "not an address"/);
  });

  it('a repository without weights that are read is refused with what it has', async () => {
    await start({ files: { 'config.json': Buffer.from('{}'), 'tf_model.h5': Buffer.from('x') } });
    expect(await refused(download())).toMatch(/^NOT_SUPPORTED.*config.json, tf_model.h5/);
  });
});

describe('without a network', () => {
  it('what was downloaded is found, and what was not is said', async () => {
    await start();
    const { folder: found } = await download();
    await hub?.close();
    hub = undefined;
    expect(await download('google/tiny', { offline: true })).toMatchObject({ folder: found, commit: COMMIT });
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await download()).folder).toBe(found);
    expect(await refused(download('google/other'))).toMatch(
      /^NOT_FOUND: google\/other at main is not in the cache/,
    );
  });

  it('a copy holds files and no links', async () => {
    await start();
    const output = join(folder, 'copy');
    await copyDownloaded(await download(), output);
    expect((await stat(join(output, 'model.safetensors'))).size).toBe(WEIGHTS.length);
    expect((await readdir(output)).sort()).toEqual(['config.json', 'model.safetensors', 'spiece.model']);
    await expect(readlink(join(output, 'config.json'))).rejects.toThrow();
  });
});

it('the shards of a model, and only those of the form that is taken, are needed', async () => {
  const shard = (name: string): [string, Buffer] => [name, Buffer.from(name)];
  await start({
    files: Object.fromEntries([
      ['config.json', Buffer.from('{}')],
      shard('pytorch_model-00001-of-00002.bin'),
      shard('pytorch_model-00002-of-00002.bin'),
      shard('pytorch_model.bin.index.json'),
      shard('flax_model.msgpack'),
    ]),
  });
  const { files } = await download();
  expect(files.map(({ path }) => path)).toEqual([
    'config.json',
    'pytorch_model-00001-of-00002.bin',
    'pytorch_model-00002-of-00002.bin',
    'pytorch_model.bin.index.json',
  ]);
  expect(asked('flax_model.msgpack')).toEqual([]);
});
