import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { hint, Written } from './written.js';

let written: Written;
beforeAll(async () => {
  await ensureCompiledWorker();
  written = await Written.copy();
});
afterAll(() => rm(written.folder, { recursive: true, force: true }));

describe('what version 0.1.0 wrote', () => {
  it.each(['latency.json', 'small.json', 'tasks.json', 'training.json'])(
    'is compared with later measurements: bench/%s',
    async (name) => {
      const path = written.at('bench', name);
      const { rows } = JSON.parse(await hint('bench', 'compare', path, path, '--json')) as { rows: object[] };
      const known = written.expected.bench[name]!;
      expect(known.length).toBeGreaterThan(0);
      expect(rows).toEqual(known.map((row) => expect.objectContaining(row)));
    },
  );

  it('is scored as then: predictions', async () => {
    const report = await hint('score', written.at('predictions/hint.jsonl'), '--json');
    expect(JSON.parse(report)).toEqual(written.expected.scores);
  });

  it.each(['runs/hint', 'runs/hint/model', 'runs/gpt2', 'tasks/hint.safetensors', 'tasks/gpt2.safetensors'])(
    'is described as then: %s',
    async (path) => {
      const report = await hint('inspect', written.at(path), '--json');
      const known = JSON.parse(written.moved(JSON.stringify(written.expected.inspect[path]))) as object;
      expect(JSON.parse(report)).toMatchObject(known);
    },
  );
});
