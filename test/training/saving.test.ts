import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import { contentOf, copyContent, writeContent } from '../../src/training/run/checkpoint.js';
import { trainFromConfig } from '../../src/training/run/run.js';
import { SavesBehind } from '../../src/training/run/save-behind.js';
import type { TrainingEvent } from '../../src/training/run/events.js';
import { tinyRun } from './run-setup.js';
import { tinyTrainer } from './tiny.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-saving-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const device = new Device({ threads: 1 });
afterAll(() => device.close());
afterEach(() => void vi.restoreAllMocks());

/** The limit of a file's size gives the same error path as a full disk, for this process alone. */
function limitFileSize(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:unlimited`]);
}

/** Writes the files of a checkpoint, and reads them. */
async function filesOf(name: string, content: Parameters<typeof writeContent>[1]): Promise<Buffer[]> {
  const folder = join(scratch, name);
  mkdirSync(folder);
  await writeContent(folder, content);
  return ['model.safetensors', 'optimizer.safetensors', 'config.json'].map((file) =>
    readFileSync(join(folder, file)),
  );
}

describe('a save behind training', () => {
  it('holds the weights and moments of its step, whatever is trained before it is written', async () => {
    const { model, optimizer, trainer } = tinyTrainer(device);
    const steps = trainer.steps({ settleAt: () => true });
    await steps.next();
    const copy = (await copyContent(model, optimizer))!;
    const then = await filesOf('then', contentOf(model, optimizer));
    await steps.next();
    expect(await filesOf('copy', copy)).toEqual(then);
    expect((await filesOf('now', contentOf(model, optimizer)))[0]).not.toEqual(then[0]);
    await steps.return();
    model.dispose();
  });

  it('is no copy where the host has no memory for one', async () => {
    const { model, optimizer } = tinyTrainer(device);
    vi.spyOn(process, 'availableMemory').mockReturnValue(1 << 10);
    expect(await copyContent(model, optimizer)).toBeUndefined();
    const output = join(scratch, 'no-memory');
    await trainFromConfig(tinyRun(output));
    expect(readdirSync(join(output, 'checkpoints'))).toContain('step-6');
    model.dispose();
  });

  it('lets training go on, and its failure is told at the next moment there is', async () => {
    const saves = new SavesBehind();
    let end: (error?: Error) => void = () => undefined;
    saves.begin(
      () => new Promise((resolve, reject) => (end = (error) => (error ? reject(error) : resolve()))),
    );
    saves.check();
    end(new Error('the disk is full'));
    await expect(saves.end()).rejects.toThrow('the disk is full');
    expect(() => saves.check()).toThrow('the disk is full');
  });

  it('that fails is the end of the run, the last one too', async () => {
    const output = join(scratch, 'last');
    const events: TrainingEvent['kind'][] = [];
    try {
      const failing = trainFromConfig(tinyRun(output), {
        onEvent: (event) => {
          events.push(event.kind);
          if (event.kind === 'checkpoint' && event.step === 4) limitFileSize(100_000);
        },
      });
      await expect(failing).rejects.toMatchObject({ code: 'IO' });
    } finally {
      limitFileSize('unlimited');
    }
    expect(events.filter((kind) => kind === 'step')).toHaveLength(6);
    const left = readdirSync(join(output, 'checkpoints'));
    expect(left).toContain('step-4');
    expect(left).not.toContain('step-6');
    await expect(trainFromConfig(tinyRun(output), { resume: true })).resolves.toMatchObject({ step: 6 });
  });
});
