import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentsOf } from '../../src/reproduce/contents.js';
import { sha256Hex } from '../../src/util/hash.js';

let folder: string, data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-contents-'));
  data = join(folder, 'data');
  await mkdir(join(data, 'tasks/deep'), { recursive: true });
  await mkdir(join(folder, 'elsewhere'));
  await writeFile(join(data, 'tasks/deep/a.json'), 'abc');
  await writeFile(join(data, 'list.txt'), 'a');
  await writeFile(join(folder, 'elsewhere/b.json'), 'b');
  await symlink('../elsewhere', join(data, 'linked'));
  await symlink('tasks/deep/a.json', join(data, 'a-link.json'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the contents of data', () => {
  it('are the names and sizes of all files, by which the cells of earlier versions are found', async () => {
    const names = await readdir(data, { recursive: true });
    expect(names).toContain('linked/b.json');
    const entries = names.toSorted().map(async (name) => {
      const entry = await stat(join(data, name));
      return entry.isDirectory() ? '' : `${name} ${entry.size}`;
    });
    expect(await contentsOf(data, 'the data')).toBe(sha256Hex(...(await Promise.all(entries))));
  });

  it('change with a file behind a link, and are read in spite of links that lead in a circle', async () => {
    const before = await contentsOf(data, 'the data');
    await writeFile(join(folder, 'elsewhere/b.json'), 'longer');
    const after = await contentsOf(data, 'the data');
    expect(after).not.toBe(before);
    for (const name of ['around', 'again']) await symlink('..', join(data, 'tasks', name));
    await symlink('.', join(data, 'itself'));
    await contentsOf(data, 'the data');
    await symlink('nowhere', join(data, 'broken'));
    await expect(contentsOf(data, 'the data')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
