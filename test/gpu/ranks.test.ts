import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  configured,
  HAS_MPI,
  HINT_COMMAND,
  metricsOf,
  processOf,
  runHint,
  startCommand,
  startHint,
  untilThere,
  weightsOf,
  worstOf,
  type Ended,
  type Started,
} from '../distributed/launch.js';

// scripts/test-cuda-host.mjs builds the emulated CUDA library and the stand-in for NCCL between its processes, names them in
// HINT_CUDA_FOLDER and HINT_NCCL, and sets HINT_EMULATED.
const scratch = mkdtempSync(join(tmpdir(), 'hint-gpu-ranks-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Tasks that several microbatches have, and a batch that ranks do not divide. */
const SHARED = {
  device: 'cuda',
  steps: 10,
  batchSize: 5,
  tokenBudget: 80,
  dropout: 0.1,
  saveEvery: 50,
} as const;
const ENDLESS = { ...SHARED, steps: 1_000_000, saveEvery: 1 } as const;

/** Without MPI. */
function launch(ranks: number, words: readonly string[], env: Record<string, string> = {}): Started {
  const [file, ...given] = [...HINT_COMMAND, 'launch', '-n', String(ranks), '--', ...words];
  return startCommand(file!, given, env);
}

/** Of the engine. */
function sentences({ stderr }: Pick<Ended, 'stderr'>): string[] {
  return stderr.split('\n').filter((line) => line.startsWith('hint: '));
}

async function trained(
  name: string,
  start: (config: string) => Started,
  changes: object = {},
): Promise<{ output: string; ended: Ended }> {
  const { config, output } = configured(scratch, name, { ...SHARED, ...changes });
  const ended = await start(config).ended;
  expect({ code: ended.code, stderr: sentences(ended) }).toEqual({ code: 0, stderr: [] });
  return { output, ended };
}

describe.skipIf(process.env['HINT_EMULATED'] !== '1')('ranks that train on GPUs together', () => {
  let alone: string;
  beforeAll(async () => {
    ({ output: alone } = await trained('alone', (config) => startHint(1, ['train', '--config', config])));
  }, 300_000);

  it('are started by hint launch and end with the weights of one process, in one voice', async () => {
    const { output, ended } = await trained('launched', (config) =>
      launch(2, ['train', '--config', config, '--json']),
    );
    expect(worstOf(await weightsOf(output), await weightsOf(alone))).toBeLessThan(1e-5);
    const summary = JSON.parse(ended.stdout) as {
      communication: { seconds: number; exposedSeconds: number };
    };
    expect(summary).toMatchObject({ status: 'finished', ranks: 2 });
    expect(summary.communication.exposedSeconds).toBeGreaterThan(0);
    const [ours, theirs] = [metricsOf(output), metricsOf(alone)];
    expect(ours.map(({ tokens }) => tokens)).toEqual(theirs.map(({ tokens }) => tokens));
    for (const [i, { loss, gradientNorm }] of ours.entries()) {
      expect(loss! / theirs[i]!['loss']!).toBeCloseTo(1, 5);
      expect(gradientNorm! / theirs[i]!['gradientNorm']!).toBeCloseTo(1, 4);
    }
    // Elastic: fewer go on from what more have written.
    await runHint(1, ['train', '--resume', output, '--steps', '11']);
  }, 300_000);

  it.runIf(HAS_MPI)(
    'meet by MPI where mpirun has started them',
    async () => {
      const { output } = await trained('mpi', (config) => startHint(2, ['train', '--config', config]));
      expect(worstOf(await weightsOf(output), await weightsOf(alone))).toBeLessThan(1e-5);
    },
    300_000,
  );

  it('stay near one process with gradients that travel as bf16', async () => {
    const start = (config: string): Started => launch(2, ['train', '--config', config]);
    const { output } = await trained('bf16', start, { gradientDtype: 'bf16' });
    const apart = worstOf(await weightsOf(output), await weightsOf(alone));
    expect(apart).toBeGreaterThan(1e-5);
    expect(apart).toBeLessThan(5e-2);
  }, 300_000);

  it('meet by the variables of torchrun', async () => {
    const { config, output } = configured(scratch, 'variables', SHARED);
    const env = {
      WORLD_SIZE: '3',
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(20_000 + (process.pid % 10_000)),
    };
    const all = [2, 1, 0].map((rank) =>
      startHint(1, ['train', '--config', config], { ...env, RANK: String(rank) }),
    );
    const ended = await Promise.all(all.map((one) => one.ended));
    expect(ended.map(({ code, stderr }) => ({ code, said: sentences({ stderr }) }))).toEqual(
      all.map(() => ({ code: 0, said: [] })),
    );
    expect(worstOf(await weightsOf(output), await weightsOf(alone))).toBeLessThan(1e-5);
  }, 300_000);

  it.each([
    [1, 'SIGKILL', 'has ended'],
    [0, 'SIGKILL', 'has ended'],
    [1, 'SIGSTOP', 'has not answered for 4 s'],
  ] as const)(
    'end in time, with one sentence, when rank %i gets %s',
    async (rank, signal, how) => {
      const { config, output } = configured(scratch, `${signal}-${rank}`, ENDLESS);
      const started = launch(2, ['train', '--config', config], { HINT_RANK_LIMIT: '4' });
      await untilThere(join(output, 'checkpoints', 'step-1'), started);
      process.kill(processOf(config, rank, 'RANK'), signal);
      const ended = await started.ended;
      expect(ended.code).not.toBe(0);
      const said = sentences(ended);
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(
        new RegExp(`^hint: Rank ${rank} on \\S+ \\(process \\d+\\) ${how}.*\\. All ranks end`),
      );
      await runHint(1, ['train', '--resume', output, '--steps', '2']);
    },
    300_000,
  );

  it('stop at one step and save once when hint launch is asked to end', async () => {
    const { config, output } = configured(scratch, 'asked', { ...ENDLESS, saveEvery: 1000 });
    const started = launch(2, ['train', '--config', config]);
    await untilThere(join(output, 'metrics.jsonl'), started);
    started.child.kill('SIGINT');
    const { stdout, code } = await started.ended;
    expect(code).toBe(130);
    const [, step] = /Stopped; the checkpoint is .*step-(\d+)\./.exec(stdout)!;
    expect(readdirSync(join(output, 'checkpoints'))).toEqual([`step-${step}`]);
    expect(existsSync(join(output, 'lock.json'))).toBe(false);
  }, 300_000);

  it('end when hint launch is killed', async () => {
    const { config, output } = configured(scratch, 'orphans', { ...ENDLESS, saveEvery: 1000 });
    const started = launch(2, ['train', '--config', config]);
    await untilThere(join(output, 'metrics.jsonl'), started);
    started.child.kill('SIGKILL');
    await started.ended;
    expect(() => processOf(config, 0, 'RANK')).toThrow(/No process/);
  }, 300_000);

  it('are refused on the CPU, which needs MPI, before anything is written', async () => {
    const { config, output } = configured(scratch, 'cpu', { ...SHARED, device: 'cpu' });
    const ended = await launch(2, ['train', '--config', config]).ended;
    expect(ended.code).not.toBe(0);
    expect(sentences(ended)).toHaveLength(1);
    expect(sentences(ended)[0]).toMatch(/compute on the cpu need MPI.*mpirun -n 2, or give --device cuda/);
    expect(existsSync(join(output, 'checkpoints', 'step-1'))).toBe(false);
  }, 300_000);

  it('are told of by hint doctor, and without NCCL refused once, with what to install', async () => {
    expect((await startHint(1, ['doctor']).ended).stdout).toMatch(/^ok +NCCL +NCCL 2\.27\.0$/m);
    const none = { HINT_NCCL: join(scratch, 'none') };
    const { stdout } = await startHint(1, ['doctor'], none).ended;
    expect(stdout).toMatch(/^missing +NCCL .*libnccl\.so\.2 was not found; install NCCL 2\.14 or later/m);
    const ended = await launch(2, ['train', '--config', 'x.json'], none).ended;
    expect(sentences(ended)).toHaveLength(1);
    expect(sentences(ended)[0]).toMatch(/libnccl\.so\.2 was not found; .*mpirun -n 2/);
  }, 300_000);
});
