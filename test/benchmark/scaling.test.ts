import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { benchmarkSeries } from '../../src/benchmark/compare.js';
import { endless } from '../../src/benchmark/random-model.js';
import { estimatedStep } from '../../src/benchmark/scaling/link.js';
import { scalingMarkdown, scalingRates } from '../../src/benchmark/scaling/scaling-report.js';
import type { ScalingPart } from '../../src/benchmark/scaling/scaling-run.js';
import { measureScaling } from '../../src/benchmark/scaling/scaling.js';
import { timelineSvg } from '../../src/benchmark/scaling/timeline.js';
import { BUCKET_BYTES } from '../../src/training/step/gradient-sums.js';
import { HAS_MPI } from '../distributed/launch.js';
import { FULL_HINT, tinyConfig } from '../inference/models.js';

const outer = process.env['HINT_PEER_PYTHON'];
beforeAll(() => (process.env['HINT_PEER_PYTHON'] = resolve(import.meta.dirname, 'fake-peer.mjs')));
afterAll(() => {
  if (outer === undefined) delete process.env['HINT_PEER_PYTHON'];
  else process.env['HINT_PEER_PYTHON'] = outer;
});

describe.runIf(HAS_MPI)('the bench of ranks', () => {
  it('ends before the processes that take turns need more memory than there is', async () => {
    const run = measureScaling({
      config: endless(tinyConfig(FULL_HINT)),
      systems: ['hint'],
      ...{ ranks: 2, batchSize: 4, tasks: 2, tokenBudget: 300, rounds: 1, buckets: [25] },
      availableMemory: () => 100 * 2 ** 20,
    });
    await expect(run).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(
        /4 examples of 2 tasks.*4 more.*100(\.0)? MiB.*smaller --batch/,
      ) as string,
    });
  });

  let part: ScalingPart;
  beforeAll(async () => {
    part = await measureScaling({
      config: endless(tinyConfig(FULL_HINT)),
      systems: ['hint', 't5', 'ddp'],
      ...{ ranks: 2, batchSize: 8, tasks: 4, tokenBudget: 300, rounds: 2, buckets: [25] },
    });
  });

  it('takes as many steps of each as it was asked for, and keeps them', () => {
    expect(part.engine.map(({ system }) => system)).toEqual(['hint', 't5']);
    for (const { alone, together, apart, communication, exposed, link } of part.engine) {
      expect(link!.latency).toBeGreaterThan(0);
      for (const rate of [link!.reduceRate, link!.broadcastRate]) expect(rate).toBeGreaterThan(1e6);
      expect([alone, together, apart, communication, exposed].map(({ length }) => length)).toEqual([
        2, 2, 2, 2, 2,
      ]);
      expect(apart[0]).toHaveLength(2);
      for (const [i, seconds] of exposed.entries()) {
        expect(seconds).toBeGreaterThan(0);
        expect(communication[i]).toBeGreaterThan(0);
        expect(seconds).toBeLessThan(together[i]!);
      }
    }
    expect(part.peers[0]?.setting).toMatchObject({ batch: 2, memory: 'kept' });
    const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { scaling: part } })), 'scaling.json');
    expect(series.map(({ samples }) => samples.length)).toEqual([2, 2, 2, 2, 2, 2, 2]);
  });

  it('has a timeline of both ranks, whose computing and waiting fill the step', () => {
    const [hint] = part.engine;
    expect(hint!.timeline.map(({ rank }) => rank)).toEqual([0, 1]);
    for (const { compute, communication } of hint!.timeline) {
      const what = communication.map(({ what: said }) => said?.replace(/ of step \d+$/, ''));
      expect(new Set(what)).toEqual(new Set(['sum the gradients', 'add up the losses', 'get the weights']));
      for (const [i, block] of compute.entries()) {
        expect(block.to).toBeGreaterThanOrEqual(block.from);
        if (i > 0) expect(block.from).toBe(compute[i - 1]!.to);
      }
      expect(new Set(compute.map(({ kind }) => kind))).toEqual(new Set(['compute', 'exposed']));
    }
    const svg = timelineSvg(hint!.timeline, 'A step');
    expect(svg.match(/rank \d/g)).toEqual(['rank 0', 'rank 1']);
    expect(svg.match(/<rect/g)!.length).toBeGreaterThan(8);
  });

  it('says what ranks reach of processes apart, and of the peer', () => {
    const known: ScalingPart = {
      ...part,
      engine: [
        {
          ...part.engine[1]!,
          ...{ alone: [2, 2], together: [1.25, 1.25], communication: [0.5, 0.5], exposed: [0.25, 0.25] },
          apart: [
            [1, 1],
            [1, 1],
          ],
          // An eighth of a second each way.
          link: { latency: 0, reduceRate: 32 * part.parameters.t5, broadcastRate: 32 * part.parameters.t5 },
        },
      ],
      peers: [{ ...part.peers[0]!, together: [5, 5] }],
    };
    expect(scalingRates(known)).toEqual([
      {
        system: 't5',
        examplesPerSecond: 6.4,
        overAlone: 1.6,
        efficiency: 0.8,
        communicationShare: 0.4,
        exposedShare: 0.2,
        estimateOverMeasured: 1,
        overPeer: 4,
      },
    ]);
    expect(scalingMarkdown(known)).toMatch(
      /plain T5, this engine \| 6.40 \| 1.60× \| 80 % \| 40 % \| 20 % \| 1.00× \| 4.00×/,
    );
    expect(scalingMarkdown(known)).toContain('DistributedDataParallel (gloo), 2 processes');
  });
});

it('an estimate of a step by ranks pays for each bucket and each byte, both ways', () => {
  const parameters = (2.5 * BUCKET_BYTES) / 4;
  const link = { latency: 0.25, reduceRate: BUCKET_BYTES, broadcastRate: 2.5 * BUCKET_BYTES };
  expect(estimatedStep(10, parameters, link)).toBe(10 + 6 * 0.25 + 2.5 + 1);
});
