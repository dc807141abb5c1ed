import { describe } from 'vitest';
import { describeBf16Inference } from './bf16-contract.js';
import { UnpackedDevice } from './unpacked-device.js';

describe('inference in bf16 where weights are read as they are', () => {
  describeBf16Inference(() => new UnpackedDevice({ threads: 1 }));
});
