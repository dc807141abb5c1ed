import { describe } from 'vitest';
import { Device } from '../../src/tensor/device.js';
import { describeBf16Inference } from './bf16-contract.js';

/** Reads weights as they are, as a GPU does. */
class UnpackedDevice extends Device {
  override get packsWeights(): boolean {
    return false;
  }
}

describe('inference in bf16 where weights are read as they are', () => {
  describeBf16Inference(() => new UnpackedDevice({ threads: 1 }));
});
