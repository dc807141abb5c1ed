import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { configured, HAS_MPI, HINT_COMMAND, startCommand } from './launch.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-hosts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Whether this process may give a child disks and a name of its own. */
const HAS_NAMESPACES = ((): boolean => {
  try {
    execFileSync('unshare', ['--mount', '--uts', 'sh', '-c', 'hostname b && mount -t tmpfs none /mnt'], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
})();

describe.runIf(HAS_MPI && HAS_NAMESPACES)('hosts', () => {
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
});
