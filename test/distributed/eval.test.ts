import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIXTURES } from '../training/tiny.js';
import { configured, HAS_MPI, runHint } from './launch.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-rank-eval-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.runIf(HAS_MPI)('ranks that evaluate', () => {
  let model: string;
  beforeAll(async () => {
    const { config, output } = configured(scratch, 'run', { steps: 2 });
    await runHint(1, ['train', '--config', config]);
    model = join(output, 'model');
  });

  /** The result without times, and the file of predictions. */
  async function evaluate(
    ranks: number,
    words: readonly string[],
  ): Promise<{ result: object; predictions: string }> {
    const file = join(scratch, `${ranks}.jsonl`);
    const given = ['eval', model, ...words, '--threads', '1', '--json', '--predictions', file];
    const { stdout } = await runHint(ranks, given);
    const { seconds, secondsPer100, ...result } = JSON.parse(stdout) as Record<string, unknown>;
    expect([typeof seconds, ['number', 'undefined'].includes(typeof secondsPer100)]).toEqual([
      'number',
      true,
    ]);
    return { result, predictions: readFileSync(file, 'utf8') };
  }

  it.each([
    [
      'tasks',
      3,
      [
        '--data',
        join(FIXTURES, 'sni'),
        '--split',
        'train',
        '--instances',
        '7',
        '--max-tokens',
        '6',
        '--batch-size',
        '4',
      ],
    ],
    [
      'answers that are drawn',
      2,
      [
        '--data',
        join(FIXTURES, 'sni'),
        '--split',
        'train',
        '--instances',
        '5',
        '--max-tokens',
        '6',
        '--decode',
        'sample',
        '--seed',
        '3',
      ],
    ],
    ['choices of P3', 2, ['--data', join(FIXTURES, 'p3'), '--batch-size', '2', '--max-tokens', '4']],
  ] as const)('give the predictions and scores of one process: %s, %i ranks', async (_, ranks, words) => {
    const alone = await evaluate(1, words);
    const together = await evaluate(ranks, words);
    expect(together.predictions).toBe(alone.predictions);
    expect(together.result).toEqual({ ...alone.result, ranks });
  });
});
