import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  configured,
  HAS_MPI,
  HINT_COMMAND,
  runHint,
  startCommand,
  untilThere,
  weightsOf,
  worstOf,
} from './launch.js';
import { hasNamespaces, TwoHosts } from './two-hosts.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-hosts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.runIf(HAS_MPI && hasNamespaces())('hosts', () => {
  it('that do not see where rank 0 writes are named', async () => {
    const { config, output } = configured(scratch, 'apart', { steps: 2 });
    mkdirSync(output);
    const words = [...HINT_COMMAND, 'train', '--config', config];
    const elsewhere = `hostname elsewhere && mount -t tmpfs none ${output} && exec "$@"`;
    const root = process.getuid?.() === 0 ? ['--allow-run-as-root'] : [];
    const { code, stderr } = await startCommand('mpirun', [
      ...[...root, '--oversubscribe', '-n', '1', ...words, ':', '-n', '1'],
      ...['unshare', '--mount', '--uts', 'sh', '-c', elsewhere, 'sh', ...words],
    ]).ended;
    expect(stderr).toMatch(/warning: Rank 0 writes the run to .*apart on \S+, which elsewhere cannot see/);
    expect(code).toBe(0);
  });

  it('of networks of their own train as one host does, and a link that is cut ends both ranks and costs no checkpoint', async () => {
    const here = configured(scratch, 'here', { steps: 6 });
    await runHint(2, ['train', '--config', here.config]);
    const hosts = new TwoHosts(scratch);
    try {
      const there = configured(scratch, 'there', { steps: 6 });
      const { code, stderr } = await hosts.start(['train', '--config', there.config]).ended;
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect(worstOf(await weightsOf(there.output), await weightsOf(here.output))).toBe(0);

      const { config, output } = configured(scratch, 'cut', { steps: 1_000_000, saveEvery: 20 });
      const started = hosts.start(['train', '--config', config], { HINT_RANK_LIMIT: '4' });
      let said = '';
      started.child.stderr!.on('data', (data: Buffer) => (said += data.toString()));
      await untilThere(join(output, 'checkpoints', 'step-20'), started);
      hosts.cut();
      const began = performance.now();
      // mpirun itself waits for the host that it cannot reach.
      while (
        hosts.processes('a', HINT_COMMAND[1]!).length + hosts.processes('b', HINT_COMMAND[1]!).length >
        1
      )
        await new Promise((again) => setTimeout(again, 100));
      expect((performance.now() - began) / 1000).toBeLessThan(10);
      // mpirun hands on what a rank has said when it comes to it.
      await expect
        .poll(() => said, { timeout: 60_000 })
        .toMatch(/hint: Rank 1 on b \(process \d+\) has not answered for 4 s.*\. All ranks end/);
      await expect(runHint(1, ['train', '--resume', output, '--steps', '30'])).resolves.toBeDefined();
    } finally {
      hosts.close();
    }
  }, 600_000);
});
