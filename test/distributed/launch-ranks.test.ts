import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { launchRanks, type RanksEnded } from '../../src/distributed/launch.js';
import { cudaReport } from '../../src/tensor/device.js';
import { HINT_COMMAND, startCommand, type Ended } from './launch.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-launch-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Runs a script as so many ranks; each finds its folder in FOLDER and its rank in rank. */
function ranks(count: number, name: string, script: string, signal?: AbortSignal): Promise<RanksEnded> {
  const file = join(scratch, `${name}.mjs`);
  const head = `import { writeFileSync } from 'node:fs';
const rank = Number(process.env.RANK), forever = () => setInterval(() => undefined, 1000);
const write = (what, text) => writeFileSync(${JSON.stringify(`${scratch}/${name}-`)} + what + rank, String(text));
`;
  writeFileSync(file, head + script);
  return launchRanks([process.execPath, file], { ranks: count, ...(signal ? { signal } : {}) });
}

const written = (name: string): string => readFileSync(join(scratch, name), 'utf8');

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((again) => setTimeout(again, 20));
}

describe('ranks of one machine', () => {
  it('are each given their place and what tells their run from others', async () => {
    const script = `write('env', JSON.stringify(process.env));`;
    expect(await ranks(2, 'places', script)).toEqual({ code: 0, wereAsked: false });
    const [first, second] = [0, 1].map(
      (rank) => JSON.parse(written(`places-env${rank}`)) as NodeJS.ProcessEnv,
    );
    expect(first).toMatchObject({ RANK: '0', LOCAL_RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1' });
    expect(second).toMatchObject({ RANK: '1', LOCAL_RANK: '1' });
    for (const name of ['MASTER_PORT', 'HINT_RUN']) expect(second![name]).toBe(first![name]);
    expect(Number(first!['MASTER_PORT'])).toBeGreaterThan(0);
  });

  it('end when one fails, also one that does not listen, and the first code is that of all', async () => {
    const script = `
      process.on('SIGTERM', () => { write('asked', 1); if (rank === 1) process.exit(0); });
      forever();
      if (rank === 0) setTimeout(() => process.exit(7), 300);`;
    expect(await ranks(3, 'failing', script)).toEqual({ code: 7, wereAsked: false });
    expect(readdirSync(scratch).filter((name) => name.startsWith('failing-asked'))).toHaveLength(2);
  });

  it('are asked to end once, and say how they did', async () => {
    const asking = new AbortController();
    const script = `
      let times = 0;
      process.on('SIGTERM', () => { write('times', ++times); setTimeout(() => process.exit(143), 500); });
      forever();
      write('begun', 1);`;
    const ended = ranks(2, 'asked', script, asking.signal);
    await until(() => [0, 1].every((rank) => existsSync(join(scratch, `asked-begun${rank}`))));
    asking.abort();
    expect(await ended).toEqual({ code: 143, wereAsked: true });
    expect([0, 1].map((rank) => written(`asked-times${rank}`))).toEqual(['1', '1']);
  });

  it('of a program that is not there are an error', async () => {
    await expect(launchRanks([join(scratch, 'none')], { ranks: 2 })).rejects.toThrow(/could not be started/);
  });
});

function hint(...words: string[]): Promise<Ended> {
  const [file, ...given] = [...HINT_COMMAND, 'launch', ...words];
  return startCommand(file!, given).ended;
}

describe('hint launch', () => {
  it('refuses a command that each rank would do whole', async () => {
    const { code, stderr } = await hint('-n', '2', '--', 'serve', 'x');
    expect(code).toBe(2);
    expect(stderr).toMatch(/hint serve is not shared among ranks.*starts train, pretrain, eval/);
  });

  it.skipIf(cudaReport().devices.length > 0)('says once, without a GPU, that CPUs need MPI', async () => {
    const { code, stderr } = await hint('-n', '3', '--', 'train', '--config', 'x.json');
    expect(code).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(
      /compute on GPUs, which they cannot here: .*mpirun -n 3 npx hint train, which needs MPI/,
    );
  });
});
