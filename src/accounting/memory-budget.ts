import { totalmem } from 'node:os';
import { cudaReport } from '../tensor/device.js';

// The rest is for CUDA's context, for libraries and their workspaces, and for kernels while they run.
const SHARE_OF_GPU = 0.9;
// The rest is for the system, for examples in memory, and for JavaScript.
const SHARE_OF_MACHINE = 0.8;

/**
 * The default limit of tensor memory, in bytes: a share of the total memory of the GPU, or of the machine or the
 * container of this process. It is no share of the free memory, because a run would then depend on other processes.
 *
 * @param device cpu, cuda or cuda:N
 */
export function defaultMemoryBudget(device: string): number {
  if (device.startsWith('cuda')) {
    const { devices } = cudaReport();
    const memory = devices[Number(device.split(':')[1] ?? 0)]?.memory ?? Infinity;
    return Math.floor(memory * SHARE_OF_GPU);
  }
  // Without a limit of the process, Node.js returns 0, or more than the machine has.
  const constrained = process.constrainedMemory() || Infinity;
  return Math.floor(Math.min(totalmem(), constrained) * SHARE_OF_MACHINE);
}
