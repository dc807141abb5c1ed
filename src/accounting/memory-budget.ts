import { totalmem } from 'node:os';
import { cudaReport } from '../tensor/device.js';

// What is left goes to CUDA's context, to libraries with their work space, and to kernels while they run.
const SHARE_OF_GPU = 0.9;
// What is left goes to the system, to examples in memory, and to JavaScript.
const SHARE_OF_MACHINE = 0.8;

/**
 * Bytes that tensors may take where nothing is said: a share of the memory that the GPU, or the machine or the container
 * around this process, has in all. It is no share of what is free, because a run would then depend on what else runs.
 *
 * @param device cpu, cuda or cuda:N
 */
export function defaultMemoryBudget(device: string): number {
  if (device.startsWith('cuda')) {
    const { devices } = cudaReport();
    const memory = devices[Number(device.split(':')[1] ?? 0)]?.memory ?? Infinity;
    return Math.floor(memory * SHARE_OF_GPU);
  }
  // Where the process has no limit, Node.js gives 0, or more than the machine has.
  const constrained = process.constrainedMemory() || Infinity;
  return Math.floor(Math.min(totalmem(), constrained) * SHARE_OF_MACHINE);
}
