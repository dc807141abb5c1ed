import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exampleMultiplyAdds } from '../../src/accounting/flops.js';
import { benchmarkSeries } from '../../src/benchmark/compare.js';
import { benchConfig, uniforms } from '../../src/benchmark/random-model.js';
import { decoderOfEqualWork } from '../../src/benchmark/equal-work.js';
import { closedLoad, openLoad } from '../../src/benchmark/serve/load.js';
import { serveChart, serveMarkdown, serveTargets } from '../../src/benchmark/serve/serve-report.js';
import { SERVE_SYSTEMS, type ServePart } from '../../src/benchmark/serve/serve-run.js';
import { drawText, zipfRanks } from '../../src/benchmark/serve/serve-tasks.js';
import { measureServing } from '../../src/benchmark/serve/serve.js';

const outer = process.env['HINT_PEER_PYTHON'];
beforeAll(() => (process.env['HINT_PEER_PYTHON'] = resolve(import.meta.dirname, 'fake-peer.mjs')));
afterAll(() => {
  if (outer === undefined) delete process.env['HINT_PEER_PYTHON'];
  else process.env['HINT_PEER_PYTHON'] = outer;
});

describe('the bench of servers', () => {
  let part: ServePart;
  beforeAll(async () => {
    part = await measureServing({
      ...{ size: 'tiny', adapterSize: 4, systems: SERVE_SYSTEMS, dtype: 'int8', peerDTypes: ['f32', 'bf16'] },
      ...{ tasks: 3, longTasks: 2, longInstruction: 100, peerBatch: 2, seconds: 0.2, rounds: 2, threads: 1 },
    });
  });

  it('asks each server for whole answers, at rates and times that are told', () => {
    expect(part.skipped).toEqual({});
    expect(part.served.map(({ name }) => name)).toEqual([
      'hint int8',
      'hf f32',
      'hf bf16',
      'hint-long f32',
      'decoder-long f32',
    ]);
    for (const { rate, open, ladder, clients, residentBytes, clientShare } of part.served) {
      expect(rate).toBeGreaterThan(0);
      expect(clientShare).toBeGreaterThan(0);
      expect(residentBytes).toBeGreaterThan(1e6);
      expect(ladder.map((step) => step.clients)).toContain(clients);
      expect(open.map(({ share }) => share)).toEqual([0.3, 0.7, 0.9]);
      for (const { requests, p50, p99 } of open) {
        expect(requests).toBeGreaterThan(0);
        expect(p99).toBeGreaterThanOrEqual(p50);
      }
    }
    const [hint, hf] = part.served;
    expect(hint).toMatchObject({ inputTokens: 44, instructionTokens: 69, tasks: 3 });
    expect(hf).toMatchObject({ inputTokens: 133, setting: { batch: 2, memory: 'kept' } });
    expect(part.gaps!.compileSeconds).toBeGreaterThan(0);
    expect(part.gaps!.quiet).toBeGreaterThan(0);
    expect(part.gaps!.compiling).toBeGreaterThan(0);
  });

  it('keeps samples that are compared with those of other runs, peers as controls', () => {
    const series = benchmarkSeries(JSON.parse(JSON.stringify({ parts: { serve: part } })), 'serve.json');
    expect(series.length).toBe(15);
    for (const { name, samples, control } of series) {
      expect(samples.length, name).toBe(2);
      expect(control, name).toBe(name.startsWith('serve: hf '));
    }
  });

  it('tells targets, and draws latency over load', () => {
    const base = { ...part, model: 'T5 v1.1 base' };
    const targets = serveTargets(base);
    expect(targets.map(({ limit }) => limit)).toEqual([8, 4, 1, 2, 50]);
    expect(serveMarkdown(base)).toContain('| requests/s, HINT over HF in f32 | ≥ 8× |');
    const reaching = {
      ...base,
      served: part.served.map((one) => (one.system === 'hf' ? { ...one, rate: 1e-3 } : one)),
    };
    expect(serveTargets(reaching)[0]).toMatchObject({ reached: true });
    const text = serveMarkdown(part);
    expect(text).toMatch(/\| HINT, int8 \| 3 \| 44 \+ 69 once \|/);
    expect(text).toMatch(/hf f32: transformers 0 on torch 0, fastapi 0/);
    expect(serveChart(part)).toContain('HF behind FastAPI, f32');
  });

  it('judges no other shape by the targets of the base shape', () => {
    expect(serveTargets(part)).toEqual([]);
    expect(serveMarkdown(part)).not.toMatch(/reached|missed/);
    expect(serveMarkdown(part)).toContain('set for the shape of T5 v1.1 base');
  });
});

describe('a load', () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      asked.push(text);
      if (text === '"refuse"') response.statusCode = 500;
      response.end(JSON.stringify({ ids: text === '"short"' ? [1] : [1, 2] }));
    });
  });
  let url: string;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());

  it('takes bodies in turns, and counts each request once', async () => {
    const target = { url, path: '/', bodies: ['"a"', '"b"'], tokens: 2 };
    const closed = await closedLoad(target, { clients: 3, seconds: 0.1 });
    expect(asked.length).toBe(closed.requests);
    expect(closed.latencies.length).toBe(closed.requests);
    expect(Math.abs(asked.filter((body) => body === '"a"').length * 2 - asked.length)).toBeLessThanOrEqual(1);
    asked.length = 0;
    const open = await openLoad(target, { rate: 100, seconds: 0.3, seed: 1 });
    expect(asked.length).toBe(open.requests);
  });

  it('ends with an answer that is not the work that was asked for', async () => {
    const wrong = (body: string) =>
      closedLoad({ url, path: '/', bodies: [body], tokens: 2 }, { clients: 1, seconds: 0.1 });
    await expect(wrong('"short"')).rejects.toThrow(/has 1 new tokens, not 2/);
    await expect(wrong('"refuse"')).rejects.toThrow(/got 500/);
  });
});

it('tasks are drawn by Zipf’s law', () => {
  const ranks = zipfRanks(uniforms(1), 32, 20_000);
  const share = (rank: number) => ranks.filter((one) => one === rank).length / ranks.length;
  const total = Array.from({ length: 32 }, (_, rank) => 1 / (rank + 1)).reduce((sum, one) => sum + one, 0);
  for (const rank of [0, 1, 3, 31]) expect(share(rank)).toBeCloseTo(1 / (rank + 1) / total, 2);
});

it('a text is drawn with as many tokens as are asked for', () => {
  const count = (text: string) => text.split(' ').length + 3;
  for (const tokens of [4, 10, 44]) expect(count(drawText(uniforms(2), tokens, count))).toBe(tokens);
});

it('an input token costs the decoder-only model what it costs HINT', () => {
  const lengths = { instruction: 0, output: 1, instructionInInput: false };
  const of = (input: number) => exampleMultiplyAdds(benchConfig('base'), { ...lengths, input }).total;
  const {
    n_embd: d,
    n_inner: inner,
    n_layer: layers,
  } = decoderOfEqualWork(benchConfig('base', 512)) as Record<string, number>;
  // Attention grows with the square of the length, which the second difference takes away.
  const square = (of(3) - 2 * of(2) + of(1)) / 2;
  const own = of(2) - of(1) - 3 * square;
  expect((layers! * (4 * d! * d! + 2 * d! * inner!)) / own).toBeCloseTo(1, 2);
});
