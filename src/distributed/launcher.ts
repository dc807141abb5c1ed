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

/** What there is of MPI here, for people who look for it. */
export function mpiReports(): (MpiReport & { name: string })[] {
  return MPI_IMPLEMENTATIONS.map((implementation) => ({
    name: MPI_NAMES[implementation],
    ...native().mpi(implementation),
  }));
}
