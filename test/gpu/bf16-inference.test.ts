import { describe, it } from 'vitest';
import { cudaReport, Device } from '../../src/tensor/device.js';
import { describeBf16Inference } from '../inference/bf16-contract.js';

const { devices, reason } = cudaReport();
const available = devices.length > 0;

describe.runIf(available)('inference in bf16 on CUDA', () => {
  describeBf16Inference(() => new Device({ device: 'cuda' }));
});

describe.runIf(!available)('inference in bf16 on CUDA', () => {
  it.skip(`cannot run here: ${reason}; bf16-unpacked.test.ts has the same on the CPU`);
});
