import { expect, it } from 'vitest';
import { isFlat, soak } from '../../src/cli/commands/bench/soak-run.js';

it('serving leaves no memory behind, whatever is asked, cancelled and evicted', async () => {
  const report = await soak({ requests: 90, clients: 4, tasks: 16, rounds: 3, threads: 1 });
  expect(isFlat(report)).toBe(true);
  expect(report.memory.map(({ deviceBytes }) => deviceBytes)).toEqual(
    report.memory.map(() => report.memory[0]?.deviceBytes),
  );
  expect(report.ways.ratios).toHaveLength(5);
  for (const speed of [report.ways.submit, report.ways.stream, ...report.ways.ratios])
    expect(speed).toBeGreaterThan(0);
  expect(report.tasks.hits).toBeGreaterThan(0);
  expect(report.tasks.regenerated).toBeGreaterThan(0);
  expect(isFlat({ ...report, memory: [1, 2, 3].map((x) => ({ deviceBytes: x, rss: 0 })) })).toBe(false);
});
