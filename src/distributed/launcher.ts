import { checked, where } from '../util/arguments.js';
import { MPI_IMPLEMENTATIONS, native, type LibraryReport, type MpiImplementation } from '../tensor/native.js';

/** Names for people. */
export const MPI_NAMES: Readonly<Record<MpiImplementation, string>> = { openmpi: 'Open MPI', mpich: 'MPICH' };

type Variables = Readonly<Record<string, string | undefined>>;

const ENVIRONMENT = where<Variables>(
  'variables by their names, such as process.env',
  (value) =>
    // Node.js gives its own variables a prototype of their own.
    value === process.env ||
    (typeof value === 'object' &&
      value !== null &&
      [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null) &&
      Object.values(value).every((one) => one === undefined || typeof one === 'string')),
);

/** A process as one of many that a launcher without MPI has started: they meet where rank 0 listens. */
export interface RankLaunch {
  /** Of the launcher, for people. */
  readonly launcher: string;
  /** What it has set to the number of processes, */
  readonly variable: string;
  /** which is this one; at least 2. */
  readonly size: number;
  /** Of this process, from 0. */
  readonly rank: number;
  /** Where rank 0 listens: the name or address of its host, */
  readonly host: string;
  /** and the TCP port. */
  readonly port: number;
  /** What tells this run from others that may listen there. */
  readonly run: string;
}

/** What has started this process together with others. */
export type Launcher = MpiImplementation | RankLaunch;

/** That `hint launch` sets, to a run's own value. */
export const RUN_VARIABLE = 'HINT_RUN';

/** The port of PyTorch's launchers, where they are not told another. */
const USUAL_PORT = 29_500;
// Ports that no system gives out by itself, one for each job.
const FIRST_JOB_PORT = 15_000;
const JOB_PORTS = 10_000;

/**
 * The launcher that has started this process together with others; undefined without one, and for a run of one process. Open
 * MPI's mpirun, MPICH's mpiexec and srun with a plugin for either say so in the environment, and are known as the implementation. So do `hint
 * launch`, torchrun and what sets the same variables, and srun, which bring no MPI.
 *
 * @throws HintError INVALID_ARGUMENT
 */
export function launcherOf(environment: Readonly<Record<string, string | undefined>>): Launcher | undefined {
  checked(ENVIRONMENT, environment, 'environment');
  const isMany = (name: string): boolean => Number(environment[name] ?? 0) > 1;
  if (isMany('OMPI_COMM_WORLD_SIZE')) return 'openmpi';
  if (environment['PMIX_RANK'] !== undefined && isMany('SLURM_NTASKS')) return 'openmpi';
  if (isMany('PMI_SIZE')) return 'mpich';
  return ofTorchrun(environment) ?? ofSlurm(environment);
}

function ofTorchrun(environment: Variables): RankLaunch | undefined {
  const { RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_RUN_ID } = environment;
  const places = placesOf(RANK, WORLD_SIZE);
  if (!places || MASTER_ADDR === undefined) return undefined;
  const own = environment[RUN_VARIABLE];
  const port = Number(MASTER_PORT ?? USUAL_PORT);
  // torchrun listens there itself.
  const isTaken = environment['TORCHELASTIC_USE_AGENT_STORE'] === 'True';
  return {
    launcher: own === undefined ? 'torchrun, or what sets its variables,' : 'hint launch',
    variable: 'WORLD_SIZE',
    ...places,
    host: MASTER_ADDR,
    port: isTaken ? port + 1 : port,
    run: own ?? TORCHELASTIC_RUN_ID ?? '',
  };
}

function ofSlurm(environment: Variables): RankLaunch | undefined {
  const { SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_JOB_ID = '0', SLURM_STEP_ID = '0' } = environment;
  // A batch script, which is one process, has no step.
  const places = placesOf(SLURM_PROCID, SLURM_STEP_NUM_TASKS);
  if (!places) return undefined;
  const nodes = environment['SLURM_STEP_NODELIST'] ?? environment['SLURM_JOB_NODELIST'] ?? 'localhost';
  const job = FIRST_JOB_PORT + ((Number(SLURM_JOB_ID) + Number(SLURM_STEP_ID)) % JOB_PORTS || 0);
  return {
    launcher: 'srun',
    variable: 'SLURM_STEP_NUM_TASKS',
    ...places,
    host: environment['MASTER_ADDR'] ?? firstNode(nodes),
    port: Number(environment['MASTER_PORT'] ?? job),
    run: `${SLURM_JOB_ID}.${SLURM_STEP_ID}`,
  };
}

/** Undefined where this process is not one of many. */
function placesOf(
  rank: string | undefined,
  size: string | undefined,
): { rank: number; size: number } | undefined {
  const places = { rank: Number(rank ?? NaN), size: Number(size ?? NaN) };
  const isThere = Number.isInteger(places.rank) && Number.isInteger(places.size) && places.size > 1;
  return isThere ? places : undefined;
}

/** Of a list of Slurm's, such as `gpu[003-006,9],login`. */
export function firstNode(nodes: string): string {
  const [first = ''] = /^(?:[^,[\]]|\[[^\]]*\])+/.exec(nodes) ?? [];
  return first.replace(/\[([^\]]*)\]/g, (_, numbers: string) => numbers.split(/[,-]/, 1)[0]!);
}

/** What there is of MPI here, for people who look for it. */
export function mpiReports(): (LibraryReport & { name: string })[] {
  return MPI_IMPLEMENTATIONS.map((implementation) => ({
    name: MPI_NAMES[implementation],
    ...native().mpi(implementation),
  }));
}

/** What there is of NCCL here. */
export function ncclReport(): LibraryReport {
  return native().nccl();
}
