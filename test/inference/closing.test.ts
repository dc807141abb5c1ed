import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FULL_HINT, removeAll, tinyConfig, writeModel } from './models.js';

const directories: string[] = [];

beforeAll(async () => {
  directories.push(await writeModel(tinyConfig(FULL_HINT)));
  await writeFile(
    join(directories[0]!, 'vite.config.mjs'),
    'export default { esbuild: { target: "node20" } };',
  );
});

afterAll(() => removeAll(directories));

/** What became of work that was interrupted so many times in a process of its own, which fails if it dies. */
async function outcomesOf(ending: string, times: number, seed: number): Promise<Record<string, number>> {
  const [directory] = directories as [string];
  const runner = join(import.meta.dirname, '..', '..', 'node_modules', 'vite-node', 'vite-node.mjs');
  const program = join(import.meta.dirname, 'closing-child.ts');
  const config = join(directory, 'vite.config.mjs');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [runner, '--config', config, program, directory, ending, String(times), String(seed)],
    { timeout: 100_000 },
  );
  return JSON.parse(stdout) as Record<string, number>;
}

describe('work that is interrupted at a random moment', () => {
  it.each([
    ['close', 40],
    ['close twice', 15],
    ['await using', 15],
    ['abort', 25],
    ['abort while opening', 25],
    ['dispose', 15],
    ['device.close', 25],
  ])('by %s settles, with an answer or ABORTED, and never ends the process', async (ending, times) => {
    const outcomes = await outcomesOf(ending, times, 1);
    expect(Object.keys(outcomes).filter((name) => !['answered', 'aborted'].includes(name))).toEqual([]);
    if (ending !== 'dispose') expect(outcomes['aborted']).toBeGreaterThan(0);
    else expect(outcomes['answered']).toBeGreaterThan(0);
  });
});
