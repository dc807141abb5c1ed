import { Device } from '../../src/tensor/device.js';

/** A CPU device that does not pack weights, like a GPU. */
export class UnpackedDevice extends Device {
  override get packsWeights(): boolean {
    return false;
  }
}
