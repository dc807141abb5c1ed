import { describe, expect, it } from 'vitest';
import { threadsOption } from '../../src/cli/support/options.js';
import { Engine } from '../../src/inference/engine.js';
import { startWorkers } from '../../src/server/workers/start-workers.js';
import { Device } from '../../src/tensor/device.js';
import { parseTrainingConfig } from '../../src/training/config/config.js';

const config = (threads: number): number =>
  parseTrainingConfig({ model: { init: 'base' }, data: { directory: 'sni' }, output: 'run', threads })
    .threads;

/** What takes a number of compute threads, with a model that is not there: what is asked for is checked before it is looked for. */
const takers: Record<string, (threads: number) => unknown> = {
  'the option of the command line': (threads) => threadsOption().parseArg?.(String(threads), 0),
  'a training configuration': config,
  'an engine': (threads) => Engine.open('nowhere', { threads }),
  'a server of several processes': (threads) => startWorkers('nowhere', { threads }),
};

describe('compute threads', () => {
  it('are as many as a device takes', () => {
    new Device({ threads: 256 }).close();
    expect(() => new Device({ threads: 257 })).toThrow(/threads/);
  });

  it.each(Object.entries(takers))('beyond 256 are refused at once by %s', async (_, take) => {
    const taken = async (threads: number): Promise<unknown> => take(threads);
    await expect(taken(257)).rejects.toThrow(/threads is "?257"?.* 256/);
    const message = await taken(256).then(
      () => 'taken',
      (error: Error) => error.message,
    );
    expect(message).not.toContain('threads');
  });
});
