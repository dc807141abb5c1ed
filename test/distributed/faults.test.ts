import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
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
} from './launch.js';
import { recordCount, uniform } from '../endings/rounds.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-rank-faults-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const ENDLESS = { steps: 1_000_000, batchSize: 5, saveEvery: 20 } as const;

/** Sends a rank of three a signal once a checkpoint is there, and waits for the end of all. */
async function faultOf(
  rank: number,
  signal: NodeJS.Signals,
): Promise<{ ended: Ended; output: string; seconds: number }> {
  const { config, output } = configured(scratch, `${signal}-${rank}`, ENDLESS);
  const started = startHint(3, ['train', '--config', config], { HINT_RANK_LIMIT: '4' });
  await untilThere(join(output, 'checkpoints', 'step-20'), started);
  const began = performance.now();
  process.kill(processOf(config, rank), signal);
  return { ended: await started.ended, output, seconds: (performance.now() - began) / 1000 };
}

/** In `npm run test:long`, as many as HINT_TEST_ROUNDS says. */
const ROUNDS = Number(process.env['HINT_TEST_ROUNDS'] ?? 1);

/** @returns whether the rank had begun */
function kill(config: string, rank: number): boolean {
  try {
    process.kill(processOf(config, rank), 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

/** Of the engine. */
function sentences({ stderr }: Pick<Ended, 'stderr'>): string[] {
  return stderr.split('\n').filter((line) => line.startsWith('hint: '));
}

describe.runIf(HAS_MPI)('a rank', () => {
  it.each([
    [1, 'SIGKILL', 'has ended'],
    [0, 'SIGKILL', 'has ended'],
    [1, 'SIGSTOP', 'has not answered for 4 s'],
  ] as const)(
    '%i that gets %s ends the others in time, is named once, and costs no checkpoint',
    async (rank, signal, how) => {
      const { ended, output, seconds } = await faultOf(rank, signal);
      expect(ended.code).not.toBe(0);
      const said = sentences(ended);
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(
        new RegExp(
          `^hint: Rank ${rank} on \\S+ \\(process \\d+\\) ${how}(, while rank \\d on \\S+ waited to .* step \\d+)?\\. All ranks end`,
        ),
      );
      expect(seconds).toBeLessThan(10);
      // A kill may leave a hidden temporary.
      const left = readdirSync(join(output, 'checkpoints'));
      expect(left.every((name) => /^(step-\d+|\..+\.tmp)$/.test(name))).toBe(true);
      await expect(runHint(1, ['train', '--resume', output, '--steps', '20'])).resolves.toBeDefined();
    },
  );

  it('whose JavaScript is busy for 15 s counts as alive', async () => {
    const { config, output } = configured(scratch, 'busy', { steps: 400, batchSize: 5, saveEvery: 400 });
    const blocked = join(scratch, 'blocked');
    const { code, stderr } = await startHint(2, ['train', '--config', config], {
      NODE_OPTIONS: `--import ${join(import.meta.dirname, 'block-rank.mjs')}`,
      HINT_TEST_BLOCKED: blocked,
      HINT_TEST_METRICS: join(output, 'metrics.jsonl'),
    }).ended;
    expect({ code, stderr: sentences({ stderr }) }).toEqual({ code: 0, stderr: [] });
    expect(existsSync(blocked)).toBe(true);
  });

  it('that torchrun has started is refused, because it has no MPI', async () => {
    const { config } = configured(scratch, 'torchrun', { steps: 1 });
    const env = { RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1' };
    const { code, stderr } = await startHint(1, ['train', '--config', config], env).ended;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/one of 2 \(WORLD_SIZE\), without MPI.*mpirun -n 2/);
  });

  it('that fails is named with its error as a sentence, whichever it is', async () => {
    const { code, stderr } = await startHint(2, ['train', '--config', join(scratch, 'none.json')]).ended;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/none\.json.*check the path/);
    expect(stderr).not.toMatch(/\.\.(?: |$)/m);
  });

  it(`that is killed at a random moment, ${ROUNDS} times, leaves a run that can go on`, async () => {
    const random = uniform('killed ranks');
    for (let round = 0; round < ROUNDS; round++) {
      const { config, output } = configured(scratch, `random-${round}`, { ...ENDLESS, saveEvery: 3 });
      const { ended } = startHint(3, ['train', '--config', config]);
      const [rank, pause] = [Math.floor(3 * random()), 5000 * random()];
      await new Promise((over) => setTimeout(over, pause));
      const began = performance.now();
      const isThere = kill(config, rank);
      // One that has not joined yet is missed by nobody but the launcher.
      if (!isThere) kill(config, 0);
      const { stderr } = await ended;
      expect((performance.now() - began) / 1000, stderr).toBeLessThan(20);
      expect(stderr).not.toMatch(/ {4}at /);
      if (!existsSync(join(output, 'config.json'))) continue;
      const saved = readdirSync(join(output, 'checkpoints')).map((name) => Number(name.slice(5)) || 0);
      const last = Math.max(0, ...saved);
      await runHint(2, ['train', '--resume', output, '--steps', String(last + 2)]);
    }
    recordCount('runs of three ranks, one of which was killed', ROUNDS);
  });

  it('that is asked to stop has all stop at one step and save once; fewer ranks go on from there', async () => {
    const { config, output } = configured(scratch, 'asked', { ...ENDLESS, steps: 60, saveEvery: 1000 });
    const started = startHint(3, ['train', '--config', config]);
    await untilThere(join(output, 'metrics.jsonl'), started);
    process.kill(processOf(config, 1), 'SIGTERM');
    const { stdout, code } = await started.ended;
    expect(code).not.toBe(0);
    const [, step] = /Stopped; the checkpoint is .*step-(\d+)\./.exec(stdout)!;
    expect(Number(step)).toBeLessThan(60);
    expect(readdirSync(join(output, 'checkpoints'))).toEqual([`step-${step}`]);
    expect(existsSync(join(output, 'lock.json'))).toBe(false);
    // Two go on for a while, then one.
    await runHint(2, ['train', '--resume', output, '--steps', String(Number(step) + 3)]);
    await runHint(1, ['train', '--resume', output, '--steps', '60']);
    const straight = configured(scratch, 'straight', { ...ENDLESS, steps: 60 });
    await runHint(1, ['train', '--config', straight.config]);
    expect(worstOf(await weightsOf(output), await weightsOf(straight.output))).toBeLessThan(1e-5);
    const ranks = metricsOf(output).map((line) => line['ranks'] ?? 1);
    expect([ranks[0], ranks[Number(step)], ranks.at(-1)]).toEqual([3, 2, 1]);
  });

  it.each([
    [
      'another learning rate',
      { learningRate: 1e-3 },
      /learningRate is 0.01 for rank 0 on \S+ and 0.001 for rank 1 on/,
    ],
    [
      'another seed and system',
      { seed: 6, system: 'hint-no-peft' },
      /(seed|system) is .* for rank 0 .*(seed|system) differ too/,
    ],
  ])('that is given %s is refused before anything is written', async (name, changes, expected) => {
    const one = configured(scratch, `same ${name}`);
    const other = configured(scratch, `other ${name}`, { ...changes, output: one.output });
    const root = process.getuid?.() === 0 ? ['--allow-run-as-root'] : [];
    const words = [one, other].map(({ config }) => ['-n', '1', ...HINT_COMMAND, 'train', '--config', config]);
    const { ended } = startCommand('mpirun', [...root, '--oversubscribe', ...words[0]!, ':', ...words[1]!]);
    const said = sentences(await ended);
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(expected);
    expect(existsSync(one.output)).toBe(false);
  });
});
