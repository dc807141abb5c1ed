import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTokenCache } from '../../src/data/token-cache.js';
import { openSafetensors, toFloat32 } from '../../src/formats/safetensors/file.js';
import { CounterRng } from '../../src/util/counter-rng.js';
import { writeFileAtomic } from '../../src/util/atomic-file.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';

// How often each signal ends a process in the middle of its writes; more for a long run.
const ROUNDS = Number(process.env.HINT_TEST_ROUNDS ?? 12);
const AT_ONCE = 4;
const STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Ending = keyof typeof STATUS;

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hint-endings-'));
  await ensureCompiledWorker();
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** Starts the writer, and kills it with each signal after its milliseconds. */
async function endWriter(
  folder: string,
  signals: readonly (readonly [NodeJS.Signals, number])[],
  ...given: string[]
): Promise<number | NodeJS.Signals> {
  const writer = join(import.meta.dirname, 'ended-writer.mjs');
  const child = spawn(process.execPath, [writer, folder, ...given], { stdio: ['ignore', 'pipe', 'pipe'] });
  let told = '';
  child.stderr.on('data', (data: Buffer) => (told += data.toString()));
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals]>;
  await Promise.race([once(child.stdout, 'data'), exited]);
  for (const [signal, milliseconds] of signals) {
    await sleep(milliseconds);
    child.kill(signal);
  }
  const [code, signal] = await exited;
  expect(told).toMatch(signal === 'SIGKILL' ? /^$/ : /^Stopping[^\n]*\n$/);
  return code ?? signal;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.map(({ parentPath, name }) => join(parentPath, name));
}

/** Everything is as one of the writes left it, the same one within a folder. */
async function expectWhole(folder: string): Promise<void> {
  const lines = (await readFile(join(folder, 'predictions.jsonl'), 'utf8')).split('\n');
  expect([lines.length, new Set(lines).size]).toEqual([5_001, 2]);
  const steps = (await readdir(join(folder, 'run', 'checkpoints'))).filter((name) =>
    name.startsWith('step-'),
  );
  expect(steps.length).toBeGreaterThan(0);
  const models = steps.flatMap((step) =>
    ['model', 'optimizer'].map((name) => join(folder, 'run', 'checkpoints', step, `${name}.safetensors`)),
  );
  for (const path of [join(folder, 'task.safetensors'), ...models]) {
    await using file = await openSafetensors(path);
    const values = new Set<number>();
    for (const name of file.tensors.keys()) {
      const tensor = toFloat32(await file.read(name), 'F32');
      for (const end of [Math.min(...tensor), Math.max(...tensor)]) values.add(end);
    }
    expect([path, values.size]).toEqual([path, 1]);
  }
  expect(await readTokenCache(join(folder, 'tokens'), Buffer.alloc(32, 1))).toBeDefined();
  const [one, two] = await Promise.all(
    ['one', 'two'].map((name) => readFile(join(folder, 'model', name), 'utf8')),
  );
  expect(one).toBe(two);
}

describe('a command that is ended while it writes', () => {
  it.each(Object.keys(STATUS) as Ending[])(
    'leaves whole files and no others, and its status, after %s',
    async (signal) => {
      const random = new CounterRng(11, 0, STATUS[signal]);
      const round = async (number: number): Promise<void> => {
        const folder = join(scratch, `${signal}-${number}`);
        expect(await endWriter(folder, [[signal, random.below(60)]])).toBe(STATUS[signal]);
        await expectWhole(folder);
        expect(
          (await filesBelow(folder)).filter((path) => path.includes('.tmp') || path.includes('.old')),
        ).toEqual([]);
        await rm(folder, { recursive: true });
      };
      for (let begun = 0; begun < ROUNDS; begun += AT_ONCE)
        await Promise.all(
          Array.from({ length: Math.min(AT_ONCE, ROUNDS - begun) }, (_, i) => round(begun + i)),
        );
    },
  );

  it.each(Object.keys(STATUS) as Ending[])(
    'ends at once at a second %s, old files in place and no half ones',
    async (signal) => {
      const folder = join(scratch, `twice-${signal}`);
      // The first waits for the writes to be finished, which these never are.
      expect(
        await endWriter(
          folder,
          [
            ['SIGTERM', 50],
            // Sooner, the same one would count as an echo of the first.
            [signal, 400],
          ],
          'hang',
        ),
      ).toBe(STATUS[signal]);
      await expectWhole(folder);
      expect((await filesBelow(folder)).filter((path) => path.endsWith('.tmp'))).toEqual([]);
    },
  );

  it('by SIGKILL leaves whole files, and the next command removes the others', async () => {
    const random = new CounterRng(11, 1);
    for (let round = 0; round < Math.ceil(ROUNDS / 4); round++) {
      const folder = join(scratch, `killed-${round}`);
      expect(await endWriter(folder, [['SIGKILL', random.below(60)]])).toBe('SIGKILL');
      for (const beside of ['', 'tokens', 'run/checkpoints'])
        await writeFileAtomic(join(folder, beside, 'next'), '');
      await expectWhole(folder);
      expect((await filesBelow(folder)).filter((path) => /\.(tmp|old)/.test(path))).toEqual([]);
    }
  });
});
