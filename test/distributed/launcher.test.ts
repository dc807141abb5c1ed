import { expect, it } from 'vitest';
import { firstNode, launcherOf } from '../../src/distributed/launcher.js';

it('a launcher of MPI is known by what it leaves in the environment, and one process is no run of many', () => {
  expect(launcherOf({ OMPI_COMM_WORLD_SIZE: '2' })).toBe('openmpi');
  expect(launcherOf({ PMIX_RANK: '0', SLURM_NTASKS: '8' })).toBe('openmpi');
  expect(launcherOf({ PMI_SIZE: '3', PMI_RANK: '0' })).toBe('mpich');
  expect(launcherOf({ OMPI_COMM_WORLD_SIZE: '1', SLURM_NTASKS: '8' })).toBeUndefined();
});

it('a launcher without MPI is known with the place of its rank, and where ranks meet', () => {
  const torchrun = {
    RANK: '1',
    WORLD_SIZE: '4',
    MASTER_ADDR: 'a',
    MASTER_PORT: '1234',
    TORCHELASTIC_RUN_ID: 'x',
  };
  const expected = { variable: 'WORLD_SIZE', size: 4, rank: 1, host: 'a', port: 1234, run: 'x' };
  expect(launcherOf(torchrun)).toMatchObject(expected);
  // Where torchrun listens itself, as releases since 2.4 do.
  expect(launcherOf({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: 'True' })).toMatchObject({ port: 1235 });
  expect(launcherOf({ ...torchrun, HINT_RUN: 'own' })).toMatchObject({ launcher: 'hint launch', run: 'own' });
  expect(launcherOf({ ...torchrun, OMPI_COMM_WORLD_SIZE: '4' })).toBe('openmpi');
  expect(launcherOf({ ...torchrun, WORLD_SIZE: '1' })).toBeUndefined();
  expect(launcherOf({ ...torchrun, RANK: undefined })).toBeUndefined();
});

it('a step of Slurm is known without MPI, and a batch script, which is alone, is none', () => {
  const step = { SLURM_STEP_NUM_TASKS: '8', SLURM_PROCID: '3', SLURM_JOB_ID: '70012', SLURM_STEP_ID: '2' };
  const launch = launcherOf({ ...step, SLURM_STEP_NODELIST: 'gpu[003-006,9],login' });
  expect(launch).toMatchObject({
    launcher: 'srun',
    size: 8,
    rank: 3,
    host: 'gpu003',
    port: 15_014,
    run: '70012.2',
  });
  expect(launcherOf({ ...step, MASTER_ADDR: 'b', MASTER_PORT: '99' })).toMatchObject({ host: 'b', port: 99 });
  expect(launcherOf({ SLURM_NTASKS: '8', SLURM_PROCID: '0' })).toBeUndefined();
});

it.each([
  ['a', 'a'],
  ['a,b', 'a'],
  ['n[01-04]', 'n01'],
  ['rack[2-3]n[7,9],x', 'rack2n7'],
])('of the nodes %s, the first is %s', (nodes, first) => {
  expect(firstNode(nodes)).toBe(first);
});
