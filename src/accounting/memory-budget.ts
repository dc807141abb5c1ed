import { totalmem } from 'node:os';
import { cudaReport } from '../tensor/device.js';

// Contexts, libraries and their work space, and what kernels need while they run.
const SHARE_OF_GPU = 0.9;
// The rest is the system's, the examples', and JavaScript's.
const SHARE_OF_MACHINE = 0.8;

/**
 * Bytes that tensors may take where nothing is said: a share of the memory that the GPU, or the machine or the container
 * around this process, has in all. Not of what is free, which would make a run depend on its neighbours.
 *
 * @param device cpu, cuda or cuda:N
 */
export function defaultMemoryBudget(device: string): number {
  if (device.startsWith('cuda')) {
    const { devices } = cudaReport();
    const memory = devices[Number(device.split(':')[1] ?? 0)]?.memory ?? Infinity;
    return Math.floor(memory * SHARE_OF_GPU);
  }
  // 0, or more than there is, where nothing constrains the process.
  const constrained = process.constrainedMemory() || Infinity;
  return Math.floor(Math.min(totalmem(), constrained) * SHARE_OF_MACHINE);
}
