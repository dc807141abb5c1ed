import { describe, expect, it } from 'vitest';
import { gpuNetwork, ringSeconds } from '../../src/benchmark/estimate/network.js';

// Hosts of eight A100s with a card of 200 Gb/s each, and of eight H100s with 400 Gb/s.
const A100 = gpuNetwork(200e9 / 8, 8, 300e9);
const H100 = gpuNetwork(400e9 / 8);

describe('the cost of collectives', () => {
  it('is nothing alone, grows with ranks and bytes, and is that of the slowest way', () => {
    expect(ringSeconds(H100, 1e9, 1)).toBe(0);
    expect(ringSeconds(H100, 1e9, 8)).toBeLessThan(ringSeconds(H100, 1e9, 16));
    expect(ringSeconds(H100, 1e9, 64)).toBeLessThan(ringSeconds(H100, 1e9, 64, 40));
    expect(ringSeconds(H100, 1e9, 16) / ringSeconds(H100, 2e9, 16)).toBeCloseTo(0.5, 1);
    const slow = gpuNetwork(1e9 / 8);
    expect(ringSeconds(slow, 1e9, 16)).toBeGreaterThan(20 * ringSeconds(H100, 1e9, 16));
  });

  it('says within 15 % how T5X slows down from 144 to 256 A100s: 21.0 to 16.9 sequences a second and GPU', () => {
    // T5 XL, 8 sequences a GPU; gradients in bf16, summed at all by what XLA combined, 30 MB at a time, when all are there.
    const bytes = 2 * 2.85e9;
    const summing = (ranks: number): number => 2 * ringSeconds(A100, bytes, ranks, bytes / 30e6);
    const compute = 8 / 21.0 - summing(144);
    const predicted = 8 / (compute + summing(256));
    expect(compute).toBeGreaterThan(0.2);
    expect(predicted / 16.9).toBeGreaterThan(0.85);
    expect(predicted / 16.9).toBeLessThan(1.15);
    // Without latencies nothing would slow down.
    expect(predicted / 21.0).toBeLessThan(0.95);
  });

  it('says within 15 % how LLM Foundry goes from 16 to 64 H100s: 43.7 to 40.8 % of the peak', () => {
    // GPT of 2.65e9 parameters, fully sharded: of three microbatches each, weights gathered twice in bf16 and gradients summed in
    // f32, layer by layer (32), all of it covered but a layer's. Sequences of 2048 a GPU and step: 30, then 18.
    const layers = 32;
    const exposed = (ranks: number, computing: number): number => {
      const parameters = 2.65e9;
      const all =
        2 * ringSeconds(H100, 2 * parameters, ranks, layers) +
        ringSeconds(H100, 4 * parameters, ranks, layers);
      return 3 * Math.max(all / layers, all - computing / 3);
    };
    const step = (30 * 2048) / 24_142;
    const compute = (step - exposed(16, step)) / 30;
    const seconds = 18 * compute + exposed(64, 18 * compute);
    const predicted = (43.7 * ((18 / 30) * step)) / seconds;
    expect(predicted / 40.8).toBeGreaterThan(0.85);
    expect(predicted / 40.8).toBeLessThan(1.15);
  });
});
