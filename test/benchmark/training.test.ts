import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { endless, uniforms } from '../../src/benchmark/random-model.js';
import { drawBatch, usefulTokens } from '../../src/benchmark/training-examples.js';
import { trainingMarkdown, trainingRates } from '../../src/benchmark/training-report.js';
import { measureTraining } from '../../src/benchmark/training.js';
import type { TrainingMeasurementOptions, TrainingPart } from '../../src/benchmark/training-run.js';
import { Group } from '../../src/distributed/group.js';
import { benchmarkSeries } from '../../src/benchmark/compare.js';
import { FULL_HINT, tinyConfig } from '../inference/models.js';

const OPTIONS = {
  config: endless(tinyConfig(FULL_HINT)),
  systems: ['hint', 't5', 'hf', 'hint-torch'] as const,
  batchSize: 4,
  tasks: 2,
  tokenBudget: 300,
  rounds: 2,
  threads: 1,
};

it('the bench of training counts work, keeps every step, and says which peers are missing', async () => {
  const outer = process.env['HINT_PEER_PYTHON'];
  process.env['HINT_PEER_PYTHON'] = fileURLToPath(new URL('no-such-python', import.meta.url));
  const notes: string[] = [];
  let part: TrainingPart;
  try {
    part = await measureTraining({ ...OPTIONS, note: (text) => notes.push(text) });
  } finally {
    if (outer === undefined) delete process.env['HINT_PEER_PYTHON'];
    else process.env['HINT_PEER_PYTHON'] = outer;
  }
  expect(part.systems.map(({ system }) => system)).toEqual(['hint', 't5']);
  expect(Object.keys(part.skipped)).toEqual(['hf', 'hint-torch']);
  expect(notes.join()).toMatch(/hf is left out: .*HINT_PEER_PYTHON.*hint-torch is left out: .*--hint-peer/);
  for (const { flops, peakBytes, seconds } of part.systems) {
    expect(seconds).toHaveLength(2);
    expect(flops).toHaveLength(2);
    expect(Math.min(...(flops ?? []))).toBeGreaterThan(1e5);
    expect(peakBytes).toBeGreaterThan(1e5);
  }
  const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { training: part } })), 'training.json');
  expect(series.map(({ samples }) => samples.length)).toEqual([2, 2, 2]);
  expect(trainingMarkdown(part)).toContain('HINT, this engine');
  // Results of older versions lack what was not asked then.
  const { computeDtype, paramDtype, runAgain, ...older } = part;
  expect(trainingMarkdown({ ...older, computeDtype, paramDtype, runAgain })).toContain(
    'computes in f32, keeps weights in f32 and runs nothing again in the backward pass; the roof is a large f32 matrix',
  );
  expect(trainingMarkdown({ ...older, computeDtype } as TrainingPart)).toContain('computes in f32; the roof');
  const oldest = trainingMarkdown(older as TrainingPart);
  expect(oldest).toContain('HINT once a task. The roof is a large matrix product');
  expect(oldest).not.toContain('undefined');
});

it('what runs again is no useful work, and bf16 weights take half', async () => {
  const measure = (more: Partial<TrainingMeasurementOptions>): Promise<TrainingPart> =>
    measureTraining({ ...OPTIONS, systems: ['hint', 't5'], computeDtype: 'bf16', ...more });
  const useful = (part: TrainingPart): unknown => part.systems.map(({ flops }) => flops);
  const [kept, again] = [await measure({}), await measure({ backward: 'both', paramDtype: 'bf16' })];
  expect(useful(again)).toEqual(useful(kept));
  expect(again.systems[0]?.peakBytes).toBeLessThan(kept.systems[0]?.peakBytes ?? 0);
  expect(trainingMarkdown(again)).toContain('keeps weights in bf16 and runs layers and makes modules again');
});

it('a file that was named for HINT in PyTorch and does not work is an error, not a peer left out', async () => {
  const outer = process.env['HINT_PEER_PYTHON'];
  process.env['HINT_PEER_PYTHON'] = fileURLToPath(new URL('no-such-python', import.meta.url));
  try {
    const measured = measureTraining({ ...OPTIONS, systems: ['hint', 'hint-torch'], hintPeer: 'no-such.py' });
    await expect(measured).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringContaining('HINT in PyTorch cannot be measured') as string,
    });
  } finally {
    if (outer === undefined) delete process.env['HINT_PEER_PYTHON'];
    else process.env['HINT_PEER_PYTHON'] = outer;
  }
});

it('a ratio over a peer is of examples per second, and the roof is that of the same run', () => {
  const part = {
    batchSize: 8,
    rounds: 2,
    usefulTokens: [
      { t5: 1000, hint: 500 },
      { t5: 1000, hint: 700 },
    ],
    systems: [
      { system: 'hint', seconds: [1, 1], flops: [4e9, 4e9] },
      { system: 't5', seconds: [2, 2], flops: [6e9, 6e9] },
      { system: 'hf', seconds: [8, 8], usefulShare: 0.5 },
    ],
    samples: { roof: [1e-10, 1.25e-10, 2e-10] },
  } as unknown as TrainingPart;
  const [hint, plain, hf] = trainingRates(part);
  expect(hint).toMatchObject({
    examplesPerSecond: 8,
    tokensPerSecond: 600,
    shareOfRoof: expect.closeTo(0.5, 6) as number,
  });
  expect(hint).not.toHaveProperty('overPeer');
  expect(plain).toMatchObject({ overPeer: 4, tokensPerSecond: 500 });
  expect(hf).toMatchObject({ system: 'hf', tokensPerSecond: 125 });
});

it('systems are measured on the same examples: an instance is the end of what plain T5 reads', () => {
  const { plain, hint } = drawBatch(uniforms(7), { batchSize: 9, tasks: 4, vocabSize: 500 });
  expect(new Set(hint.map(({ instruction }) => instruction)).size).toBe(4);
  for (const [i, { input, target }] of hint.entries()) {
    const full = plain[i]?.input ?? new Int32Array(0);
    expect([...input]).toEqual([...full.subarray(full.length - input.length)]);
    expect(target).toEqual(plain[i]?.target);
  }
  const once = [...new Set(hint.map(({ instruction }) => instruction))].reduce(
    (sum, { length }) => sum + length,
    0,
  );
  const rest = hint.reduce((sum, { input, target }) => sum + input.length + target.length, 0);
  expect(usefulTokens(hint)).toBe(once + rest);
});

it('ranks do the same useful work, and leave peers to another command', async () => {
  const alone = await measureTraining({ ...OPTIONS, systems: ['hint', 't5'] });
  const ranks = await Group.join('alone');
  const part = await measureTraining({ ...OPTIONS, ranks });
  await ranks.close();
  expect(part.ranks).toBe(1);
  expect(part.systems.map(({ system, flops }) => [system, flops])).toEqual(
    alone.systems.map(({ system, flops }) => [system, flops]),
  );
  expect(part.skipped['hf']).toContain('"hint bench scaling"');
  expect(trainingMarkdown(part)).toContain('on cpu by 1 ranks together');
  expect(alone).not.toHaveProperty('ranks');
  const [one] = trainingRates({ ...part, ranks: 2 });
  expect(one!.shareOfRoof).toBeCloseTo(trainingRates(part)[0]!.shareOfRoof! / 2, 10);
});
