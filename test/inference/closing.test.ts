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

const ENDINGS: Readonly<Record<string, number>> = {
  close: 40,
  'close twice': 15,
  'await using': 15,
  abort: 25,
  'abort while opening': 25,
  dispose: 15,
  'device.close': 25,
};

type Outcomes = Record<string, number>;

/** What became of work that was interrupted so many times by each ending, in one process, which may die of any. */
async function interruptAll(): Promise<Map<string, Outcomes>> {
  const [directory] = directories as [string];
  const runner = join(import.meta.dirname, '..', '..', 'node_modules', 'vite-node', 'vite-node.mjs');
  const program = join(import.meta.dirname, 'closing-child.ts');
  const config = join(directory, 'vite.config.mjs');
  const endings = JSON.stringify(ENDINGS);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [runner, '--config', config, program, directory, endings, '1'],
    { timeout: 600_000 },
  );
  return new Map(Object.entries(JSON.parse(stdout) as Record<string, Outcomes>));
}

describe('work that is interrupted at a random moment', () => {
  let all: Map<string, Outcomes>;
  beforeAll(async () => {
    all = await interruptAll();
  }, 600_000);

  it.each(Object.keys(ENDINGS))(
    'by %s settles, with an answer or ABORTED, and never ends the process',
    (ending) => {
      const outcomes = all.get(ending)!;
      expect(Object.keys(outcomes).filter((name) => !['answered', 'aborted'].includes(name))).toEqual([]);
      if (ending !== 'dispose') expect(outcomes['aborted']).toBeGreaterThan(0);
      else expect(outcomes['answered']).toBeGreaterThan(0);
    },
  );
});
