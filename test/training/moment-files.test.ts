import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import {
  contentOf,
  copyContent,
  readOptimizerState,
  writeContent,
  type MomentShards,
} from '../../src/training/run/checkpoint.js';
import { momentsFile, writeMoments } from '../../src/training/run/moment-files.js';
import { RunDirectory } from '../../src/training/run/run-directory.js';
import type { Optimizer } from '../../src/training/step/optimizer.js';
import { tinyTrainer } from './tiny.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-moments-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const device = new Device({ threads: 1 });
afterAll(() => device.close());

const STATE = { tokens: 0, source: null, fingerprint: 'x' } as const;

/** As if a second rank had every other moment. */
function halves(optimizer: Optimizer, isLost: () => boolean): { shards: MomentShards; others: string[] } {
  const names = [...optimizer.momentOwners().keys()];
  const owners = new Map(names.map((name, i) => [name, i % 2]));
  return { shards: { rank: 0, ranks: 2, owners, isLost }, others: names.filter((_, i) => i % 2 === 1) };
}

async function writeOthers(folder: string, optimizer: Optimizer, others: readonly string[]): Promise<void> {
  const moments = optimizer.ownState().filter(({ name }) => others.includes(name));
  await writeMoments(join(folder, momentsFile({ rank: 1, ranks: 2 })), moments, 'adafactor');
}

describe('moments that ranks write themselves', () => {
  it('are one checkpoint, which is read as a whole and misses no shard unnoticed', async () => {
    const { model, optimizer, trainer } = tinyTrainer(device);
    for await (const { step } of trainer.steps({ settleAt: () => true })) if (step === 2) break;
    const directory = new RunDirectory(join(scratch, 'whole'));
    await directory.make();
    const { shards, others } = halves(optimizer, () => false);
    const whole = contentOf(model, optimizer, shards);
    const content = { ...whole, moments: whole.moments.filter(({ name }) => !others.includes(name)) };
    const path = await directory.saveCheckpoint({ ...STATE, step: 2 }, 1, async (folder) => {
      // The second rank is late.
      const late = new Promise((later) => setTimeout(later, 200)).then(() =>
        writeOthers(folder, optimizer, others),
      );
      await writeContent(folder, content);
      await late;
    });
    expect((await directory.latestCheckpoint())?.step).toBe(2);

    const fresh = tinyTrainer(device);
    await readOptimizerState(path, fresh.optimizer);
    const values = (of: Optimizer): Promise<Uint8Array[]> =>
      Promise.all(of.ownState().map(({ data }) => data()));
    expect(await values(fresh.optimizer)).toEqual(await values(optimizer));

    rmSync(join(path, momentsFile({ rank: 1, ranks: 2 })));
    await expect(directory.latestCheckpoint()).rejects.toThrow(/optimizer-00002-of-00002/);
    fresh.model.dispose();
    model.dispose();
  });

  it('leave the last checkpoint whole where a rank is lost before it has written its own', async () => {
    const { model, optimizer } = tinyTrainer(device);
    const directory = new RunDirectory(join(scratch, 'lost'));
    await directory.make();
    await directory.saveCheckpoint({ ...STATE, step: 1 }, 1, (folder) =>
      writeContent(folder, contentOf(model, optimizer)),
    );
    let isLost = false;
    setTimeout(() => (isLost = true), 200);
    const content = (await copyContent(model, optimizer, halves(optimizer, () => isLost).shards))!;
    const saving = directory.saveCheckpoint({ ...STATE, step: 2 }, 1, (folder) =>
      writeContent(folder, content),
    );
    await expect(saving).rejects.toThrow(/^Rank 1 is lost, before it has written its moments/);
    expect(readdirSync(join(directory.path, 'checkpoints'))).toEqual(['step-1']);
    expect((await directory.latestCheckpoint())?.step).toBe(1);
    model.dispose();
  });
});
