import { guarded, native, type NativeModule } from '../../tensor/native.js';
import { HintError } from '../../util/errors.js';
import type { EnergyCounter, OpenedCounter } from './counter.js';

/** What NVML says of a GPU: joules since its driver was loaded, or the reason why it says nothing. */
type GpuEnergy = ReturnType<NativeModule['gpuEnergy']>;

/**
 * A GPU's energy.
 *
 * @param device `cuda`, or `cuda:1`
 * @param read for tests: what NVML says of the GPU of that number
 */
export function openGpuEnergy(device: string, read: (gpu: number) => GpuEnergy = readGpu): OpenedCounter {
  const gpu = Number(device.split(':')[1] ?? 0);
  const first = read(gpu);
  if (first.reason !== '') return { unread: `The energy of ${device} was not read: ${first.reason}.` };
  return { counter: new NvmlCounter(device, first.joules, () => read(gpu)) };
}

function readGpu(gpu: number): GpuEnergy {
  return guarded(() => native().gpuEnergy(gpu));
}

class NvmlCounter implements EnergyCounter {
  readonly name: string;

  constructor(
    private readonly device: string,
    private readonly first: number,
    private readonly read: () => GpuEnergy,
  ) {
    this.name = `the GPU ${device}`;
  }

  joules(): Promise<number> {
    const { joules, reason } = this.read();
    if (reason === '') return Promise.resolve(joules - this.first);
    return Promise.reject(
      new HintError('NOT_SUPPORTED', `the energy of ${this.device} cannot be read: ${reason}.`),
    );
  }
}
