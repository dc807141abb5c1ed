import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { endless } from '../../src/benchmark/random-model.js';
import { measureTasks, TASK_WORK } from '../../src/benchmark/task-measurements.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { benchmarkSeries } from '../../src/benchmark/compare.js';
import { FULL_HINT, removeAll, tinyConfig, TOKENIZER } from '../inference/models.js';

it('the bench of tasks keeps every sample, in a form that bench compare reads, and leaves no files', async () => {
  const own = await mkdtemp(join(tmpdir(), 'hint-tasks-'));
  const outer = process.env['TMPDIR'];
  process.env['TMPDIR'] = own;
  try {
    const part = await measureTasks({
      config: endless(tinyConfig(FULL_HINT)),
      tasks: 3,
      examples: 5,
      rounds: 2,
      dtypes: ['f32', 'int8'],
      tokenizer: await Tokenizer.load(TOKENIZER),
      threads: 1,
    });
    const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { tasks: part } })), 'tasks.json');
    expect(series).toHaveLength(2 * TASK_WORK.length);
    expect(series.every(({ samples }) => samples.length === 2 && samples.every((time) => time > 0))).toBe(
      true,
    );
    for (const bytes of [part.fileBytes, part.taskBytes]) {
      expect(bytes['int8']).toBeGreaterThan(0);
      expect(bytes['int8']).toBeLessThan(bytes['f32'] ?? NaN);
    }
    expect(await readdir(own)).toEqual([]);
  } finally {
    if (outer === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = outer;
    await removeAll([own]);
  }
});
