import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants, createReadStream } from 'node:fs';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeDirectoryAtomically } from '../../src/util/atomic-directory.js';
import {
  appendLines,
  checkOutput,
  writeFileAtomic,
  writeFileAtomically,
} from '../../src/util/atomic-file.js';
import { shown } from '../../src/util/shown.js';
import { makeFolder } from '../../src/util/write-error.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hint-outputs-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (...names: string[]): string => join(folder, ...names);
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o7777;
const isRoot = process.getuid?.() === 0;

/** A device of the kernel's, in the test's own folder. */
function makeDevice(name: string, minor: number): string {
  execFileSync('mknod', ['-m', '666', at(name), 'c', '1', String(minor)]);
  return at(name);
}

function makePipe(): string {
  execFileSync('mkfifo', [at('pipe')]);
  return at('pipe');
}

/** Only what was there before, and nothing half-written. */
async function expectOnly(...names: string[]): Promise<void> {
  expect((await readdir(folder)).sort()).toEqual(names.sort());
}

describe('an output that is no regular file', () => {
  it.runIf(isRoot)('stays the device it is and takes the data (making one needs root)', async () => {
    const device = makeDevice('null', 3);
    await writeFileAtomic(device, 'gone');
    await checkOutput(device);
    expect((await lstat(device)).isCharacterDevice()).toBe(true);
    await expectOnly('null');
  });

  it.runIf(isRoot)(
    'that is full is an error with a next step, and stays a device (making one needs root)',
    async () => {
      const device = makeDevice('full', 7);
      await symlink(device, at('link'));
      for (const path of [device, at('link')])
        await expect(writeFileAtomic(path, 'x')).rejects.toMatchObject({
          code: 'IO',
          message: `Could not write ${path}: the disk is full; free some space and try again.`,
        });
      await expect(appendLines(device, 'x\n')).rejects.toMatchObject({ code: 'IO' });
      expect((await lstat(device)).isCharacterDevice()).toBe(true);
      await expectOnly('full', 'link');
    },
  );

  it('gives a pipe more than it holds, to a reader that comes late', async () => {
    const pipe = makePipe();
    const data = 'x'.repeat(300_000);
    const written = writeFileAtomic(pipe, data);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await text(createReadStream(pipe))).toBe(data);
    await written;
    expect((await lstat(pipe)).isFIFO()).toBe(true);
    await expectOnly('pipe');
  });

  it('stops waiting for a pipe’s reader, or for a slow one, when aborted', async () => {
    const pipe = makePipe();
    const controller = new AbortController();
    const waiting = writeFileAtomic(pipe, 'x', controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    await using reader = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const full = writeFileAtomic(pipe, 'x'.repeat(1_000_000), AbortSignal.timeout(50));
    await expect(full).rejects.toMatchObject({ code: 'ABORTED' });
    expect((await reader.stat()).isFIFO()).toBe(true);
  });

  it('says that a pipe’s reader has ended', async () => {
    const pipe = makePipe();
    const reader = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const writing = writeFileAtomically(pipe, async (append) => {
      await append('first');
      await reader.close();
      await append('second');
    });
    await expect(writing).rejects.toMatchObject({
      code: 'IO',
      message: expect.stringMatching(/reader has ended/),
    });
  });

  it('writes to an open descriptor where it stands, and keeps what the file has', async () => {
    await using file = await open(at('log'), 'w');
    await file.write('before ');
    await writeFileAtomic(`/proc/self/fd/${file.fd}`, 'during ');
    await writeFileAtomic(`/dev/fd/${file.fd}`, 'and ');
    await file.write('after');
    expect(await readFile(at('log'), 'utf8')).toBe('before during and after');
    await expectOnly('log');
  });

  it.each(['pipe', 'file'])('/dev/stdout is standard output, a %s', async (kind) => {
    const module = join(import.meta.dirname, '../../dist/util/atomic-file.js');
    const code = `
      const { writeFileAtomic } = await import(${JSON.stringify(module)});
      process.stdout.write('one ');
      await writeFileAtomic('/dev/stdout', 'two ');
      process.stdout.write('three');`;
    const output = await open(at('output'), 'w');
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', kind === 'file' ? output.fd : 'pipe', 'inherit'],
    });
    const [piped] = await Promise.all([child.stdout ? text(child.stdout) : '', once(child, 'close')]);
    await output.close();
    expect(kind === 'file' ? await readFile(at('output'), 'utf8') : piped).toBe('one two three');
  });
});

describe('a symbolic link', () => {
  it('is followed, over several and through linked folders, and stays', async () => {
    await mkdir(at('real', 'deep'), { recursive: true });
    await symlink('real/deep', at('folder'));
    await symlink('../target', at('real', 'deep', 'second'));
    await symlink('folder/second', at('first'));
    await writeFile(at('real', 'target'), 'old', { mode: 0o600 });
    await writeFileAtomic(at('first'), 'new');
    expect(await readFile(at('real', 'target'), 'utf8')).toBe('new');
    expect(await modeOf(at('real', 'target'))).toBe(0o600);
    expect(await readlink(at('first'))).toBe('folder/second');
    expect((await readdir(at('real'))).sort()).toEqual(['deep', 'target']);
  });

  it('that dangles makes the file it names', async () => {
    await symlink('elsewhere/new', at('link'));
    await expect(writeFileAtomically(at('link'), (append) => append('x'))).rejects.toMatchObject({
      code: 'IO',
    });
    await writeFileAtomic(at('link'), 'made');
    expect(await readFile(at('elsewhere', 'new'), 'utf8')).toBe('made');
    expect(await readlink(at('link'))).toBe('elsewhere/new');
  });

  it('that leads in a circle is an error', async () => {
    await symlink('b', at('a'));
    await symlink('a', at('b'));
    await expect(writeFileAtomic(at('a'), 'x')).rejects.toThrow(/lead in a circle; choose another path/);
  });

  it('to a folder is followed when the folder is replaced', async () => {
    await mkdir(at('real'), { mode: 0o750 });
    await writeFile(at('real', 'old'), '');
    await symlink('real', at('link'));
    for (const path of [at('link'), at('link/')])
      await writeDirectoryAtomically(path, (inside) => writeFile(join(inside, 'new'), ''));
    expect(await readdir(at('real'))).toEqual(['new']);
    expect(await modeOf(at('real'))).toBe(0o750);
    expect(await readlink(at('link'))).toBe('real');
    await expectOnly('link', 'real');
  });
});

describe('mode and owner', () => {
  it.each([0o600, 0o644, 0o444, 0o755, 0o660])('of a file that is replaced stay: %o', async (mode) => {
    await writeFile(at('file'), 'old');
    await chmod(at('file'), mode);
    if (isRoot) await chown(at('file'), 12345, 23456);
    // Of another user, or writable for its owner: who may not write the file may not replace it.
    if (!isRoot && !(mode & 0o200)) return;
    await writeFileAtomic(at('file'), 'new');
    expect(await modeOf(at('file'))).toBe(mode);
    const { uid, gid } = await stat(at('file'));
    if (isRoot) expect([uid, gid]).toEqual([12345, 23456]);
  });

  it('of a new file are by the umask', async () => {
    const before = process.umask(0o027);
    try {
      await writeFileAtomic(at('file'), 'x');
      await writeDirectoryAtomically(at('folder'), () => Promise.resolve());
    } finally {
      process.umask(before);
    }
    expect(await modeOf(at('file'))).toBe(0o640);
    expect(await modeOf(at('folder'))).toBe(0o750);
  });

  it('nobody else reads a secret while it is written', async () => {
    await writeFile(at('secret'), 'old', { mode: 0o600 });
    await writeFileAtomically(at('secret'), async (append) => {
      await append('new');
      for (const name of await readdir(folder)) expect(await modeOf(at(name))).toBe(0o600);
    });
  });
});

describe('what cannot be written', () => {
  it.each([
    ['a folder', () => at(), /it is a directory/],
    ['a folder that is not there', () => at('none/'), /it is a directory/],
    [
      'a file as a folder',
      () => at('file', 'x'),
      /not a directory|is something of that name|directory does not exist/,
    ],
    ['a name without letters', () => '', /a file without a name/],
    ['a name too long', () => at('n'.repeat(256)), /longer than the file system takes/],
    ['a name with a NUL', () => at('a\0b'), /cannot have such a name/],
    ['a file below /proc', () => '/proc/none/x', /directory does not exist/],
    ['a descriptor that is not open', () => '/dev/fd/999', /descriptor is not open/],
  ])('is one sentence that names the path, and leaves nothing: %s', async (_, path, message) => {
    await writeFile(at('file'), 'kept');
    const error = await writeFileAtomic(path(), 'x').catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'HintError', code: 'IO', message: expect.stringMatching(message) });
    if (path() !== '') expect((error as Error).message).toContain(shown(path()));
    await expectOnly('file');
    expect(await readFile(at('file'), 'utf8')).toBe('kept');
  });

  it('of a folder: a file in its place is kept', async () => {
    await writeFile(at('file'), 'kept');
    const writing = writeDirectoryAtomically(at('file'), () => Promise.resolve());
    await expect(writing).rejects.toMatchObject({ code: 'IO' });
    await expect(makeFolder('/proc/none/x')).rejects.toMatchObject({ code: 'IO' });
    expect(await readFile(at('file'), 'utf8')).toBe('kept');
  });

  it('names of the greatest length can', async () => {
    for (const name of ['n'.repeat(255), `${'é'.repeat(127)}n`]) {
      await writeFileAtomic(at(name), 'x');
      expect(await readFile(at(name), 'utf8')).toBe('x');
    }
  });

  it.runIf(isRoot)(
    'for want of permission is told before and when it is written (taking on a user needs root)',
    async () => {
      await chmod(folder, 0o755);
      await mkdir(at('closed'), { mode: 0o755 });
      await mkdir(at('open'));
      await chmod(at('open'), 0o777);
      await writeFile(at('open', 'readable'), 'kept', { mode: 0o644 });
      const module = join(import.meta.dirname, '../../dist/util/atomic-file.js');
      const code = `
      const { checkOutput, writeFileAtomic } = await import(${JSON.stringify(module)});
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      for (const path of ${JSON.stringify([at('closed', 'x'), at('open', 'readable')])})
        for (const write of [checkOutput, writeFileAtomic])
          await write(path, 'x').catch(({ code, message }) => console.log(code, message));
      await writeFileAtomic(${JSON.stringify(at('open', 'new'))}, 'x');`;
      const told = execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' });
      expect(told.trim().split('\n')).toEqual(
        [at('closed', 'x'), at('closed', 'x'), at('open', 'readable'), at('open', 'readable')].map(
          (path) =>
            `IO Could not write ${path}: there is no permission; choose another place or change its permissions.`,
        ),
      );
      expect(await readFile(at('open', 'readable'), 'utf8')).toBe('kept');
      expect((await readdir(at('open'))).sort()).toEqual(['new', 'readable']);
    },
  );
});

describe('lines that are added', () => {
  it('never continue a line that a kill cut off', async () => {
    await appendLines(at('log'), 'one\n');
    await writeFile(at('log'), 'one\n{"torn');
    await appendLines(at('log'), 'two\n');
    expect(await readFile(at('log'), 'utf8')).toBe('one\n{"torn\ntwo\n');
  });
});

describe('temporaries', () => {
  /** Starts a process that has a file, a folder and their content half-written, and hangs. */
  async function startWriter(end = ''): Promise<ChildProcess> {
    const modules = join(import.meta.dirname, '../../dist/util');
    const code = `
      const { writeFileAtomically } = await import(${JSON.stringify(join(modules, 'atomic-file.js'))});
      const { writeDirectoryAtomically } = await import(${JSON.stringify(join(modules, 'atomic-directory.js'))});
      const { temporaryFolder } = await import(${JSON.stringify(join(modules, 'temporary.js'))});
      const hang = () => new Promise((resolve) => setTimeout(resolve, 1e6));
      const write = (path) => writeFileAtomically(path, async (append) => { await append('half'); ready(); await hang(); });
      let waited = 2;
      const ready = () => { if (--waited === 0) { console.log('ready'); ${end} } };
      await temporaryFolder('work');
      void write(${JSON.stringify(at('file'))});
      void writeDirectoryAtomically(${JSON.stringify(at('folder'))}, (inside) => write(inside + '/file'));`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', end === '' ? 'inherit' : 'ignore'],
      env: { ...process.env, TMPDIR: folder },
    });
    await once(child.stdout, 'data');
    return child;
  }

  const temporaries = async (): Promise<string[]> =>
    (await readdir(folder)).filter((name) => /^\..*\.(tmp|old)$/.test(name));

  it('of a living process stay; those of a killed one are removed by the next that writes there', async () => {
    await writeFile(at('file'), 'old');
    const child = await startWriter();
    await writeFileAtomic(at('other'), 'x');
    expect(await temporaries()).toHaveLength(3);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await temporaries()).toHaveLength(3);
    await writeFileAtomic(at('other'), 'y');
    await expectOnly('file', 'other');
    expect(await readFile(at('file'), 'utf8')).toBe('old');
  });

  it.each(['process.exit(7)', "throw new Error('uncaught')"])('are gone after %s', async (end) => {
    const child = await startWriter(`setImmediate(() => { ${end} });`);
    if (child.exitCode === null) await once(child, 'exit');
    expect(await temporaries()).toEqual([]);
  });

  it('tell an ended process from its number’s next holder, other hosts, containers and a restart of the machine', async () => {
    const names: string[] = [];
    await writeFileAtomically(at('file'), async () => {
      names.push(...(await temporaries()));
    });
    const [own = ''] = names;
    const [, host, boot, namespace, pid, start] =
      /\.(\w{8})-(\w{8})-(\w{8})-(\d+)-(\d+)-\w{8}\.tmp$/.exec(own) ?? [];
    const leave = async (name: string, ...mark: unknown[]): Promise<void> =>
      writeFile(at(`.${name}.${mark.join('-')}-00000000.tmp`), '');
    await leave('living', host, boot, namespace, pid, start);
    await leave('reused-number', host, boot, namespace, pid, Number(start) + 1);
    await leave('ended', host, boot, namespace, 2 ** 22 + 1, start);
    await leave('before-restart', host, '00000000', namespace, pid, start);
    await leave('other-host', '00000000', boot, namespace, 2 ** 22 + 1, start);
    await leave('other-container', host, boot, '00000000', 2 ** 22 + 1, start);
    await writeFile(at('.unmarked.0123456789ab.tmp'), '');
    await writeFileAtomic(at('file'), '');
    const kept = (await temporaries()).map((name) => name.split('.')[1]).sort();
    expect(kept).toEqual(['living', 'other-container', 'other-host', 'unmarked']);
  });

  it('a folder that was put aside when its process was killed takes its name back', async () => {
    await writeFileAtomically(at('x'), async () => {
      const [own = ''] = await temporaries();
      // The same process, but from before a restart of the machine.
      const name = own
        .replace('.x.', '.model.')
        .replace(/-\w{8}-/, '-00000000-')
        .replace('.tmp', '.old');
      await mkdir(at(name));
      await writeFile(at(name, 'kept'), '');
    });
    await writeFileAtomic(at('x'), '');
    expect(await readdir(at('model'))).toEqual(['kept']);
    await expectOnly('model', 'x');
  });
});
