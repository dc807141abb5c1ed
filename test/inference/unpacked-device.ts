import { Device } from '../../src/tensor/device.js';

/** Reads weights as they are, as a GPU does. */
export class UnpackedDevice extends Device {
  override get packsWeights(): boolean {
    return false;
  }
}
