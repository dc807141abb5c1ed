import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { FIXTURES } from '../training/tiny.js';
import { tinyRun } from '../training/run-setup.js';

const main = join(import.meta.dirname, '../../dist/bundle/cli/main.js');
// Of util-linux: runs a command on a terminal of its own and passes its exit code on.
const hasTerminal = spawnSync('script', ['--version']).status === 0;

let scratch: string;
let model: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-terminal-'));
  const { output } = await trainFromConfig(tinyRun(join(scratch, 'trained'), { steps: 1 }));
  model = join(output, 'model');
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Runs `hint` on a terminal; sends it the signals, one after the other, once its output shows `until`. */
async function onTerminal(
  name: string,
  parameters: readonly string[],
  until?: RegExp,
  ...signals: NodeJS.Signals[]
): Promise<{ code: number | null; output: string }> {
  const pidFile = join(scratch, `${name}.pid`);
  const command = [process.execPath, main, ...parameters].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qfec', `echo $$ > '${pidFile}'; exec ${command}`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
    if (until === undefined || !until.test(output)) return;
    until = undefined;
    const pid = Number(execFileSync('cat', [pidFile], { encoding: 'utf8' }));
    for (const signal of signals) process.kill(pid, signal);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

async function startedRun(name: string): Promise<{ output: string; config: string }> {
  const output = join(scratch, name);
  const config = join(scratch, `${name}.json`);
  await writeFile(config, JSON.stringify(tinyRun(output, { steps: 100_000, saveEvery: 50_000 })));
  return { output, config };
}

/** Neither hidden cursor nor lines that do not wrap: what even a kill would leave behind. */
function expectUntouched(output: string): void {
  for (const sequence of ['[?25l', '[?7l', '[?1049h']) expect(output).not.toContain(sequence);
  expect(output).not.toMatch(/\n\s+at |unexpected error/);
}

describe.runIf(hasTerminal)('on a terminal (script of util-linux)', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)(
    'training that is ended by %s saves a checkpoint and leaves the terminal as it was',
    async (signal, code) => {
      const { output, config } = await startedRun(signal);
      const ended = await onTerminal(signal, ['train', '--config', config], /training +[=-]+ \d+\//, signal);
      expect(ended.code).toBe(code);
      expectUntouched(ended.output);
      expect(ended.output).toMatch(/Stopping.*[^]*Stopped; the checkpoint is/);
      expect((await new RunDirectory(output).latestCheckpoint())?.step).toBeGreaterThan(0);
      const left = await readdir(output, { recursive: true });
      expect(left.filter((name) => /tmp|lock/.test(name))).toEqual([]);
    },
  );

  it('a second signal ends training at once, and nobody has to unlock its directory', async () => {
    const { output, config } = await startedRun('twice');
    const ended = await onTerminal(
      'twice',
      ['train', '--config', config],
      /training +[=-]+ \d+\//,
      'SIGINT',
      'SIGTERM',
    );
    // Threads of the process take signals that come together in any order: the one seen second ends it.
    expect([130, 143]).toContain(ended.code);
    expect(ended.output).not.toContain('Stopped;');
    expectUntouched(ended.output);
    expect((await readdir(output, { recursive: true })).filter((name) => /tmp|lock/.test(name))).toEqual([]);
  });

  it('an error in the middle of a progress bar ends the command instead of leaving the bar to turn for ever', async () => {
    const parameters = [
      'eval',
      model,
      '--data',
      join(FIXTURES, 'sni'),
      '--instances',
      '1',
      '--max-tokens',
      '2',
    ];
    const pipe = join(scratch, 'gone', 'predictions.jsonl');
    const ended = await onTerminal('error', [...parameters, '--predictions', `${pipe}${'n'.repeat(250)}`]);
    expect(ended.code).toBe(1);
    expect(ended.output).toMatch(/hint: Could not write .* longer than the file system takes/);
    expectUntouched(ended.output);
  });
});

describe('a signal that comes twice at once, as timeout sends it,', () => {
  it('is one: training saves a checkpoint', async () => {
    const { output, config } = await startedRun('echo');
    const child = spawn(process.execPath, [main, 'train', '--config', config], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [told, printed] = ['', ''];
    child.stdout.on('data', (data: Buffer) => (printed += data.toString()));
    child.stderr.on('data', (data: Buffer) => {
      const before = told;
      told += data.toString();
      if (/training +\d/.test(before) || !/training +\d/.test(told)) return;
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGTERM'), 10);
    });
    const [code] = (await once(child, 'close')) as [number | null];
    expect([code, printed]).toEqual([143, expect.stringContaining('Stopped; the checkpoint is')]);
    expect((await new RunDirectory(output).latestCheckpoint())?.step).toBeGreaterThan(0);
  });
});

describe('standard output', () => {
  const run = (stdio: 'pipe' | number, ...parameters: string[]) =>
    spawn(process.execPath, [main, ...parameters], { stdio: ['ignore', stdio, 'pipe'] });

  it('that nobody reads ends a command quietly, as SIGPIPE would', async () => {
    const child = run('pipe', 'systems');
    child.stdout?.destroy();
    let told = '';
    child.stderr?.on('data', (data: Buffer) => (told += data.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect([code, told]).toEqual([141, '']);
  });

  it('takes what --output names /dev/stdout, before what the command prints', async () => {
    const child = run(
      'pipe',
      'eval',
      model,
      '--data',
      join(FIXTURES, 'sni'),
      '--instances',
      '1',
      '--max-tokens',
      '2',
      '--predictions',
      '/dev/stdout',
    );
    let output = '';
    child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
    const [code] = (await once(child, 'close')) as [number];
    expect(code).toBe(0);
    expect(JSON.parse(output.slice(0, output.indexOf('\n')))).toHaveProperty('prediction');
    expect(output).toMatch(/exact match/);
  });
});

describe('a signal while a command waits for its input', () => {
  it('ends it', async () => {
    const child = spawn(process.execPath, [main, 'run', model, '--definition', 'x'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    // A process that is still starting is ended by the signal itself.
    setTimeout(() => child.kill('SIGTERM'), 3000);
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    expect([143, 'SIGTERM']).toContain(code ?? signal);
  });
});
