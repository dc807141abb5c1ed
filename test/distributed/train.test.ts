import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configured, HAS_MPI, metricsOf, runHint, tensorsOf, weightsOf, worstOf } from './launch.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-ranks-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Tasks that several microbatches have, and a batch that ranks do not divide. */
const SHARED = { steps: 50, batchSize: 5, tokenBudget: 80, dropout: 0.1, saveEvery: 50 } as const;

/** Without its moments' file, what ranks must have alike. */
async function train(
  ranks: number,
  name: string,
  changes: object = {},
): Promise<{ output: string; stdout: string }> {
  const { config, output } = configured(scratch, name, { ...SHARED, ...changes });
  const { stdout } = await runHint(ranks, ['train', '--config', config, '--json']);
  return { output, stdout };
}

describe.runIf(HAS_MPI)('ranks that train together', () => {
  let alone: string, two: string, said: string;
  beforeAll(async () => {
    ({ output: alone } = await train(1, 'alone'));
    ({ output: two, stdout: said } = await train(2, 'two'));
  });

  it('end with the weights and moments of one process after 50 updates', async () => {
    expect(worstOf(await weightsOf(two), await weightsOf(alone))).toBeLessThan(1e-5);
    const moments = (output: string, name: string): Promise<Map<string, Float32Array>> =>
      tensorsOf(join(output, 'checkpoints', 'step-50', name));
    const sharded = await moments(two, 'optimizer.safetensors.index.json');
    expect(worstOf(sharded, await moments(alone, 'optimizer.safetensors'))).toBeLessThan(1e-4);
  });

  it('write their moments themselves, each those that it has, and nobody all', async () => {
    const folder = join(two, 'checkpoints', 'step-50');
    const names = readdirSync(folder).filter((name) => name.startsWith('optimizer'));
    const shards = [1, 2].map((rank) => `optimizer-0000${rank}-of-00002.safetensors`);
    expect(names.sort()).toEqual([...shards, 'optimizer.safetensors.index.json']);
    const all = await Promise.all(
      shards.map(async (name) => [...(await tensorsOf(join(folder, name))).keys()]),
    );
    expect(all.every((one) => one.length > 0)).toBe(true);
    expect(new Set(all.flat()).size).toBe(all.flat().length);
  });

  it('report the losses and counts of one process, the first of them to the bit, in one voice', () => {
    const [ours, theirs] = [metricsOf(two), metricsOf(alone)];
    expect(ours).toHaveLength(50);
    expect(Math.max(...theirs.map(({ microbatches }) => microbatches!))).toBeGreaterThan(3);
    expect(ours[0]!['loss']).toBe(theirs[0]!['loss']);
    for (const [i, line] of ours.entries()) {
      const { step, tokens, targetTokens, microbatches, loss, gradientNorm } = theirs[i]!;
      expect(line).toMatchObject({ step, tokens, targetTokens, microbatches, ranks: 2 });
      expect(line['loss']! / loss!).toBeCloseTo(1, 5);
      expect(line['gradientNorm']! / gradientNorm!).toBeCloseTo(1, 4);
    }
    expect(JSON.parse(said)).toMatchObject({ status: 'finished', ranks: 2 });
    expect(theirs[0]).not.toHaveProperty('ranks');
  });

  it('agree with one process as four on fewer cores, in one voice about what was exposed', async () => {
    const { output, stdout } = await train(4, 'four');
    expect(worstOf(await weightsOf(output), await weightsOf(alone))).toBeLessThan(1e-5);
    const { communication } = JSON.parse(stdout) as {
      communication: { seconds: number; exposedSeconds: number };
    };
    const sum = (name: string): number => metricsOf(output).reduce((all, line) => all + line[name]!, 0);
    expect(communication.exposedSeconds).toBeCloseTo(sum('exposedSeconds'), 6);
    expect(communication.seconds).toBeCloseTo(sum('communicationSeconds'), 6);
    expect(communication.exposedSeconds).toBeGreaterThan(0);
  });

  it('take the same steps to the bit when they run again', async () => {
    const { output } = await train(2, 'again');
    expect(worstOf(await weightsOf(output), await weightsOf(two))).toBe(0);
  });

  it('stay near one process with gradients that travel as bf16, and are not those of f32', async () => {
    const { output } = await train(2, 'bf16', { gradientDtype: 'bf16' });
    const apart = worstOf(await weightsOf(output), await weightsOf(alone));
    expect(apart).toBeGreaterThan(1e-5);
    expect(apart).toBeLessThan(1e-2);
  });

  it('agree with one process as three too, with clipping, and share the moments out', async () => {
    const optimizer = { name: 'adamw' } as const;
    const adamw = { optimizer, clipNorm: 0.5, learningRate: 1e-3 };
    const { output: one } = await train(1, 'one-adamw', adamw);
    const { output: three, stdout } = await train(3, 'three-adamw', adamw);
    expect(worstOf(await weightsOf(three), await weightsOf(one))).toBeLessThan(1e-5);
    const { parameters } = JSON.parse(stdout) as { parameters: number };
    // The least of all steps: what is under way when a step is told comes on top.
    const held = (output: string): number =>
      Math.min(...metricsOf(output).map(({ bytesInUse }) => bytesInUse!));
    // Two f32 moments of each parameter, of which the embedding, most of this model, is at one rank.
    const moments = 8 * parameters;
    expect(held(one) - held(three)).toBeGreaterThan(0.3 * moments);
  });
});
