import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readSniTasks } from '../../../src/data/natural-instructions/tasks.js';
import { prepareSni } from '../../../src/data/prepare/sni.js';
import { archive } from './archives.js';

const fixture = new URL('../../fixtures/sni/', import.meta.url).pathname;
let root: string;
let target: string;
let number = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'hint-prepare-sni-'));
});
beforeEach(() => {
  target = join(root, `made-${number++}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const filesOf = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).filter((name) => /\.(json|txt)$/.test(name)).sort();

/** The fixture's files as an archive of the repository has them. */
async function packed(...others: { path: string; content: string }[]): Promise<string> {
  const names = await filesOf(fixture);
  const entries = await Promise.all(
    names.map(async (name) => ({
      path: `natural-instructions-master/${name}`,
      content: await readFile(join(fixture, name)),
    })),
  );
  const readme = { path: 'natural-instructions-master/README.md', content: 'Read me.' };
  const file = join(root, `repo-${number}.tar.gz`);
  await writeFile(file, archive(readme, ...entries, ...others));
  return file;
}

describe('hint prepare sni', () => {
  it.each(['a folder', 'an archive'])('gives of %s what training reads, byte for byte', async (what) => {
    const source = what === 'a folder' ? fixture : await packed();
    const report = await prepareSni({ source, folder: target });
    expect(report).toMatchObject({ made: 6, kept: 0 });
    expect(await filesOf(target)).toEqual(await filesOf(fixture));
    for (const name of await filesOf(fixture))
      expect((await readFile(join(target, name))).equals(await readFile(join(fixture, name)))).toBe(true);
    for await (const { instances } of readSniTasks({ directory: target, split: 'train' }))
      expect(instances.length).toBeGreaterThan(0);
  });

  it("says what there is beside the paper's numbers, and what is missing", async () => {
    const source = join(root, 'partial');
    await cp(fixture, source, { recursive: true });
    await rm(join(source, 'tasks/task2012_trec_question_type_classification.json'));
    const { counts, notes } = await prepareSni({ source, folder: target });
    const published = new Map(counts.map((one) => [one.what, one]));
    expect(published.get('default, train: examples, 100 a task')).toMatchObject({ published: 75_417 });
    expect(published.get('default, train: examples, 100 a task')?.found).toBeGreaterThan(100);
    expect(published.get('default, test: tasks')).toEqual({
      what: 'default, test: tasks',
      found: 0,
      published: 119,
    });
    expect(published.get('default, test: examples, 100 a task')).toMatchObject({
      found: 0,
      published: 11_810,
    });
    expect(notes).toContain(
      '1 listed test tasks of the track default have no file: task2012_trec_question_type_classification.',
    );
    expect(notes.join()).toContain('no list of the test tasks of the track xlingual');
  });

  it('counts also what an earlier call has made of another source', async () => {
    await prepareSni({ source: fixture, folder: target });
    const source = join(root, 'one-task');
    await cp(fixture, source, { recursive: true });
    for (const name of (await readdir(join(source, 'tasks'))).slice(1)) await rm(join(source, 'tasks', name));
    const { counts, notes } = await prepareSni({ source, folder: target });
    expect(counts[0]).toEqual({ what: 'default, train: tasks', found: 2, published: 757 });
    expect(notes.join()).not.toContain('have no file');
  });

  it('does what is left when it is called again, and makes again what has changed or is not whole', async () => {
    const source = join(root, 'again');
    await cp(fixture, source, { recursive: true });
    const abort = new AbortController();
    const stopped = prepareSni({
      source,
      folder: target,
      signal: abort.signal,
      onProgress: ({ done }) => done === 4 && abort.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await prepareSni({ source, folder: target })).toMatchObject({ made: 2, kept: 4 });
    expect(await prepareSni({ source, folder: target })).toMatchObject({ made: 0, kept: 6 });

    const [task = ''] = await readdir(join(source, 'tasks'));
    const text = await readFile(join(source, 'tasks', task), 'utf8');
    await writeFile(join(source, 'tasks', task), `${text}\n`);
    await writeFile(join(target, 'splits/default/train_tasks.txt'), 'cut');
    expect(await prepareSni({ source, folder: target })).toMatchObject({ made: 2, kept: 4 });
    expect(await readFile(join(target, 'tasks', task), 'utf8')).toBe(`${text}\n`);
  });

  it('goes on after a kill, which leaves a line of its list half-written', async () => {
    await prepareSni({ source: fixture, folder: target });
    const list = join(target, '.prepared');
    const { size } = await stat(list);
    await writeFile(list, (await readFile(list)).subarray(0, size - 20));
    expect(await prepareSni({ source: fixture, folder: target })).toMatchObject({ made: 1, kept: 5 });
  });

  it('writes nothing over files that it has not made', async () => {
    await mkdir(join(target, 'tasks'), { recursive: true });
    const [task = ''] = await readdir(join(fixture, 'tasks'));
    await writeFile(join(target, 'tasks', task), 'mine');
    await expect(prepareSni({ source: fixture, folder: target })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringContaining('was not prepared here'),
    });
    expect(await readFile(join(target, 'tasks', task), 'utf8')).toBe('mine');
  });

  it.each(['tasks/task1_pipe.json', 'repository.tar'])(
    'does not wait for ever for a pipe at %s',
    async (name) => {
      const source = join(root, `pipe-${number}`);
      await cp(fixture, source, { recursive: true });
      execFileSync('mkfifo', [join(source, name)]);
      const given = name.endsWith('.tar') ? join(source, name) : source;
      await expect(prepareSni({ source: given, folder: target })).rejects.toMatchObject({
        message: expect.stringMatching(/is no regular file but a pipe|is neither a folder nor an archive/),
      });
    },
  );

  it('names the task that is none, and keeps what came before it', async () => {
    const source = await packed({
      path: 'natural-instructions-master/tasks/task9_bad.json',
      content: '{"Definition": 3}',
    });
    await expect(prepareSni({ source, folder: target })).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(
        /entry natural-instructions-master\/tasks\/task9_bad\.json is not a Super-Natural/,
      ),
    });
    expect(await filesOf(target)).toEqual(await filesOf(fixture));
  });

  it.each([
    ['nothing', '/nowhere/repo', 'NOT_FOUND'],
    ['a file of another kind', join(fixture, 'splits/default/train_tasks.txt'), 'NOT_FOUND'],
    ['a folder of something else', join(fixture, 'splits'), 'NOT_FOUND'],
  ])('refuses %s with a sentence', async (_, source, code) => {
    await expect(prepareSni({ source, folder: target })).rejects.toMatchObject({ code });
  });

  it('refuses a name with a control character, in an archive and in a folder', async () => {
    const evil = 'task\n\u001b[31mevil.json';
    const source = await packed({ path: `natural-instructions-master/tasks/${evil}`, content: '{}' });
    const refused = {
      code: 'INVALID_FILE',
      message: expect.stringContaining('\\u001b[31mevil.json') as string,
    };
    await expect(prepareSni({ source, folder: target })).rejects.toMatchObject(refused);
    const folder = join(root, 'evil');
    await mkdir(join(folder, 'tasks'), { recursive: true });
    await writeFile(join(folder, 'tasks', evil), '{}');
    await expect(prepareSni({ source: folder, folder: `${target}-2` })).rejects.toMatchObject(refused);
  });

  it.each([
    ['a second repository', 'natural-instructions-2.5/tasks/task9_other.json'],
    ['a file twice', 'natural-instructions-master/splits/default/train_tasks.txt'],
  ])('takes nothing of an archive with %s for a part of the first', async (_what, path) => {
    const source = await packed({ path, content: '{}' });
    await expect(prepareSni({ source, folder: target })).rejects.toMatchObject({
      code: 'INVALID_FILE',
      message: expect.stringMatching(/has files of the repository in more places than one, in "natural-instructions-master\/" and as /) as string, // prettier-ignore
    });
    expect(await filesOf(target)).toEqual(await filesOf(fixture));
  });

  it('makes no folder for a source that is none', async () => {
    for (const source of [join(root, 'nowhere'), join(fixture, 'tasks')])
      await expect(prepareSni({ source, folder: target })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(stat(target)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('puts no file outside of its folder, whatever an archive says', async () => {
    const source = await packed({
      path: 'natural-instructions-master/tasks/../../../evil.json',
      content: '{}',
    });
    await expect(prepareSni({ source, folder: target })).rejects.toMatchObject({ code: 'INVALID_FILE' });
    expect(await readdir(root)).not.toContain('evil.json');
  });
});
