import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { takeLock } from '../../src/util/lock.js';
import { eventually } from '../eventually.js';

const work = { doing: 'working here', instead: 'another folder' };

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hint-lock-'));
  file = join(directory, 'lock.json');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** The lock of this process with other details. */
async function leaveLock(changes: object): Promise<void> {
  const unlock = await takeLock(file, work);
  const text = await readFile(file, 'utf8');
  await unlock();
  await writeFile(file, JSON.stringify({ ...(JSON.parse(text) as object), ...changes }));
}

describe('a lock', () => {
  it('lets one in at a time, and the next after it, and leaves nothing behind', async () => {
    const unlock = await takeLock(file, work);
    await expect(takeLock(file, work)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`Process ${process.pid} has been working here since `),
    });
    await unlock();
    await (
      await takeLock(file, work)
    )();
    expect(await readdir(directory)).toEqual([]);
  });

  it('of a living process is respected', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(other, 'spawn');
    try {
      await leaveLock({ pid: other.pid, processStart: null });
      await expect(takeLock(file, work)).rejects.toThrow(`Process ${other.pid}`);
    } finally {
      other.kill('SIGKILL');
      await once(other, 'exit');
    }
    await (
      await takeLock(file, work)
    )();
  });

  it('of a process that was killed is taken over, also while its parent has not asked how it ended', async () => {
    // The shell becomes a program that never waits for the child.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60']);
    try {
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number(line.toString());
      await leaveLock({ pid, processStart: null });
      await expect(takeLock(file, work)).rejects.toThrow(`Process ${pid}`);
      process.kill(pid, 'SIGKILL');
      await eventually(async () => (await takeLock(file, work))());
    } finally {
      parent.kill('SIGKILL');
      await once(parent, 'exit');
    }
  });

  it('of a process whose number another one has now is taken over', async () => {
    await leaveLock({ processStart: 'an earlier start' });
    await (
      await takeLock(file, work)
    )();
  });

  it('that is damaged is taken over', async () => {
    await writeFile(file, '{"pid": 12');
    await (
      await takeLock(file, work)
    )();
  });

  it('of another machine is respected, and the error says what to delete', async () => {
    await leaveLock({ host: 'elsewhere', pid: 1 });
    await expect(takeLock(file, work)).rejects.toThrow(new RegExp(`on elsewhere; .*delete ${file}`));
  });

  it('goes to exactly one of many that come at once, also over a stale one', async () => {
    await leaveLock({ processStart: 'an earlier start' });
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => takeLock(file, work)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('that cannot be written is an error naming the file', async () => {
    await expect(takeLock(join(directory, 'missing', 'lock.json'), work)).rejects.toMatchObject({
      code: 'IO',
    });
  });
});
