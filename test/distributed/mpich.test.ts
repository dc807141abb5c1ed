import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import {
  configured,
  HAS_MPI,
  HAS_MPICH,
  HINT_COMMAND,
  runHint,
  startCommand,
  weightsOf,
  worstOf,
} from './launch.js';

const scratch = mkdtempSync(join(tmpdir(), 'hint-mpich-'));
afterAll(() => rmSync(scratch, { recursive: true }));

it.runIf(HAS_MPI && HAS_MPICH)(
  'MPICH carries what Open MPI carries: three ranks of each end with the same bits',
  async () => {
    const open = configured(scratch, 'openmpi');
    await runHint(3, ['train', '--config', open.config]);
    const mpich = configured(scratch, 'mpich');
    const words = ['-n', '3', ...HINT_COMMAND, 'train', '--config', mpich.config];
    expect(await startCommand('mpiexec.mpich', words).ended).toMatchObject({ code: 0 });
    expect(worstOf(await weightsOf(mpich.output), await weightsOf(open.output))).toBe(0);
  },
);
