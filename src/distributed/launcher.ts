import { checked, where } from '../util/arguments.js';
import { MPI_IMPLEMENTATIONS, native, type MpiImplementation, type MpiReport } from '../tensor/native.js';

/** Names for people. */
export const MPI_NAMES: Readonly<Record<MpiImplementation, string>> = { openmpi: 'Open MPI', mpich: 'MPICH' };

const ENVIRONMENT = where<Readonly<Record<string, string | undefined>>>(
  'variables by their names, such as process.env',
  (value) =>
    // Node.js gives its own variables a prototype of their own.
    value === process.env ||
    (typeof value === 'object' &&
      value !== null &&
      [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null) &&
      Object.values(value).every((one) => one === undefined || typeof one === 'string')),
);

/**
 * The implementation of MPI whose launcher has started this process together with others; undefined without one, and for a
 * run of one process. Open MPI's mpirun, MPICH's mpiexec and srun with a plugin for either say so in the environment.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function launcherOf(
  environment: Readonly<Record<string, string | undefined>>,
): MpiImplementation | undefined {
  checked(ENVIRONMENT, environment, 'environment');
  const isMany = (name: string): boolean => Number(environment[name] ?? 0) > 1;
  if (isMany('OMPI_COMM_WORLD_SIZE')) return 'openmpi';
  if (environment['PMIX_RANK'] !== undefined && isMany('SLURM_NTASKS')) return 'openmpi';
  if (isMany('PMI_SIZE')) return 'mpich';
  return undefined;
}

/** A launcher that has started this process as one of many, and brings no MPI. */
export interface OtherLauncher {
  readonly name: string;
  /** What it has set to the number of processes, */
  readonly variable: string;
  /** which is this one. */
  readonly size: number;
}

/**
 * The launcher without MPI that has started this process together with others; undefined without one. It is that of torchrun and what
 * sets the same variables, or of srun.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function otherLauncherOf(
  environment: Readonly<Record<string, string | undefined>>,
): OtherLauncher | undefined {
  if (launcherOf(environment)) return undefined;
  const found = (name: string, variable: string, others: readonly string[]): OtherLauncher | undefined => {
    const size = Number(environment[variable] ?? 0);
    const isThere = size > 1 && others.every((other) => environment[other] !== undefined);
    return isThere ? { name, variable, size } : undefined;
  };
  return (
    found('torchrun, or what sets its variables,', 'WORLD_SIZE', ['RANK', 'MASTER_ADDR']) ??
    // A batch script, which is one process, has no step.
    found('srun', 'SLURM_STEP_NUM_TASKS', ['SLURM_PROCID'])
  );
}

/** What there is of MPI here, for people who look for it. */
export function mpiReports(): (MpiReport & { name: string })[] {
  return MPI_IMPLEMENTATIONS.map((implementation) => ({
    name: MPI_NAMES[implementation],
    ...native().mpi(implementation),
  }));
}
