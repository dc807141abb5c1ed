import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenizedExample } from '../../src/data/batch.js';
import { findTextFiles } from '../../src/data/text/files.js';
import { Tokenizer } from '../../src/formats/tokenizer/tokenizer.js';
import { TextSource, type TextSourceOptions } from '../../src/training/sources/text-source.js';
import { CounterRng } from '../../src/util/counter-rng.js';
import { ensureCompiledWorker } from '../data/compiled-worker.js';
import { FIXTURES } from './tiny.js';

let folder: string;
let tokenizer: Tokenizer;
const started: Worker[] = [];
const watch = (worker: Worker): void => void started.push(worker);
const open: TextSource[] = [];

beforeAll(async () => {
  await ensureCompiledWorker();
  tokenizer = await Tokenizer.load(join(FIXTURES, 'tokenizer'));
  folder = await mkdtemp(join(tmpdir(), 'hint-source-'));
  const random = new CounterRng(1);
  for (let shard = 0; shard < 3; shard++) {
    const lines = Array.from({ length: 40 }, (_, i) => {
      const words = Array.from({ length: 20 + random.below(60) }, () => `word${random.below(500)}`);
      return JSON.stringify({ text: `Document ${shard}.${i}: ${words.join(' ')}` });
    });
    await writeFile(join(folder, `shard-${shard}.jsonl`), `${lines.join('\n')}\n`);
  }
  process.on('worker', watch);
});
afterAll(async () => {
  process.off('worker', watch);
  await Promise.all(open.map((source) => source.close()));
  await rm(folder, { recursive: true, force: true });
});

async function openSource(changes: Partial<TextSourceOptions> = {}): Promise<TextSource> {
  const source = await TextSource.open({
    files: await findTextFiles([folder]),
    tokenizer,
    column: 'text',
    documentsPerGroup: 8,
    shuffleBuffer: 50,
    threads: 0,
    settings: {
      objective: 'hint',
      splits: 'independent',
      segmentTokens: 64,
      maxDocumentTokens: 65_536,
      lastSegment: 'drop',
      seed: 4,
    },
    ...changes,
  });
  open.push(source);
  return source;
}

const bits = (examples: readonly TokenizedExample[]): string[] =>
  examples.map(({ id, instruction, input, target }) =>
    JSON.stringify([id, [...instruction], [...input], [...target]]),
  );

/** Examples of a whole pass. */
async function pass(source: TextSource): Promise<TokenizedExample[]> {
  const examples: TokenizedExample[] = [];
  const epoch = (source.state as { epoch: number }).epoch;
  while ((source.state as { epoch: number }).epoch === epoch) examples.push(...(await source.next(1)));
  return examples;
}

describe('TextSource', () => {
  it('gives every segment of a pass once, shuffled, and splits them anew in the next pass', async () => {
    const source = await openSource();
    const first = await pass(source);
    const second = await pass(source);
    const ids = first.map(({ id }) => id);
    expect(first.length).toBeGreaterThan(150);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.slice(0, 50)).not.toEqual([...ids.slice(0, 50)].sort());
    for (const { instruction, input, target } of first) {
      expect(instruction.length + input.length + target.length).toBe(64 + 3);
      expect([instruction.at(-1), input.at(-1), target.at(-1)]).toEqual([1, 1, 1]);
    }
    expect(new Set([...bits(first), ...bits(second)]).size).toBe(first.length + second.length);
  });

  it('goes on bit for bit from every state, also in the middle of a block and in the next pass', async () => {
    const source = await openSource();
    const states = [];
    const batches: string[][] = [];
    for (let i = 0; i < 30; i++) {
      states.push(source.state);
      batches.push(bits(await source.next(17)));
    }
    expect((source.state as { epoch: number }).epoch).toBeGreaterThan(0);
    for (const i of [0, 1, 7, 16, 29]) {
      const other = await openSource();
      other.restore(JSON.parse(JSON.stringify(states[i])) as typeof source.state);
      for (const expected of batches.slice(i, i + 6)) expect(bits(await other.next(17))).toEqual(expected);
    }
    source.restore(states[3]!);
    expect(bits(await source.next(17))).toEqual(batches[3]);
  });

  it('gives the same examples from worker threads, which are gone once it is closed', async () => {
    const alone = await openSource();
    const crew = await openSource({ threads: 2 });
    expect(bits(await crew.next(300))).toEqual(bits(await alone.next(300)));
    expect(started.filter((worker) => worker.threadId >= 0).length).toBeGreaterThan(0);
    await crew.close();
    expect(started.filter((worker) => worker.threadId >= 0)).toEqual([]);
    await expect(crew.next(1000)).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('reads parquet in worker threads too', async () => {
    const files = await findTextFiles([join(FIXTURES, 'text', 'sample.parquet')]);
    const crew = await openSource({ files, threads: 2, documentsPerGroup: 4, shuffleBuffer: 5 });
    const alone = await openSource({ files, documentsPerGroup: 4, shuffleBuffer: 5 });
    expect(bits(await crew.next(30))).toEqual(bits(await alone.next(30)));
    await crew.close();
  });

  it('ends at once when aborted, and can be asked again', async () => {
    const source = await openSource();
    const expected = bits(await (await openSource()).next(20));
    const controller = new AbortController();
    const before = source.state;
    const waiting = source.next(20, controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    source.restore(before);
    expect(bits(await source.next(20))).toEqual(expected);
    await source.close();
  });

  it('has another fingerprint for other text, settings or order, and the same for a moved folder', async () => {
    const { fingerprint, size } = await openSource();
    expect(size).toBeUndefined();
    expect((await openSource({ threads: 2 })).fingerprint).toBe(fingerprint);
    const files = await findTextFiles([folder]);
    const others = await Promise.all([
      openSource({ files: files.slice(1) }),
      openSource({ shuffleBuffer: 51 }),
      openSource({ column: 'url' }),
    ]);
    expect(new Set([fingerprint, ...others.map((other) => other.fingerprint)]).size).toBe(4);
  });

  it('refuses states of other text and text that gives nothing', async () => {
    const source = await openSource();
    expect(() => source.restore({ epoch: 0, position: 3 })).toThrow(/place in the text is .* none of these/);
    const state = source.state as Record<string, number>;
    expect(() => source.restore({ ...state, shard: 9 })).toThrow(/none of these 3 files/);
    source.restore({ ...state, position: 1000 });
    await expect(source.next(1)).rejects.toMatchObject({ code: 'INVALID_CHECKPOINT' });
    const file = join(folder, 'short.txt');
    await writeFile(file, 'too short\n');
    const short = await openSource({ files: await findTextFiles([file]) });
    await expect(short.next(1)).rejects.toThrow(/gives no segment of 64 tokens; give more text/);
    await rm(file);
  });

  it('names the bad line, again at the next call', async () => {
    const file = join(folder, 'bad.jsonl');
    await writeFile(file, `${JSON.stringify({ text: 'fine' })}\n{"text": 3}\n`);
    const source = await openSource({ files: await findTextFiles([file]), threads: 1 });
    await expect(source.next(1)).rejects.toThrow(/bad\.jsonl:2 has a field "text" that is no text/);
    await expect(source.next(1)).rejects.toThrow(/bad\.jsonl:2/);
    await source.close();
    await rm(file);
  });
});
